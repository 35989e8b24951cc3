"""Customers' endpoints, what is owed to them, and every attempt to deliver it."""

from deploy.migrations.revision import run_sql

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    run_sql(__file__)
