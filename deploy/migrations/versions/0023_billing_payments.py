"""Money that comes in by M-Pesa: top-ups, receipts, notices, reconciliation."""

from deploy.migrations.revision import run_sql

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    run_sql(__file__)
