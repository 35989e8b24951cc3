"""Alarms that customers get: low balances, disabled endpoints."""

from deploy.migrations.revision import run_sql

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    run_sql(__file__)
