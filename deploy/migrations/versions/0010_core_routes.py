"""Which aggregator carries what, by whose wish, and why an attempt went its way."""

from deploy.migrations.revision import run_sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_sql(__file__)
