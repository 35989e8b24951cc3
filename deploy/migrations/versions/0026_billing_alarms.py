"""Alarms that customers get: low balances, disabled endpoints."""

from deploy.migrations.revision import run_sql

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    run_sql(__file__)
