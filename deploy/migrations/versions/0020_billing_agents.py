"""Prices by account type and volume; agents with their customers, rates and sales."""

from deploy.migrations.revision import run_sql

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    run_sql(__file__)
