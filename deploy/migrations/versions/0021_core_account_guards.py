"""How much may go to one recipient, to one prefix, and be spent in an hour."""

from deploy.migrations.revision import run_sql

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    run_sql(__file__)
