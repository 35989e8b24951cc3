"""The ledger added up by day, and charges by country, MNO and rate."""

from deploy.migrations.revision import run_sql

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    run_sql(__file__)
