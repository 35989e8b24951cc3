"""Campaigns: recipients, expansion, the wake-up of the scheduler."""

from deploy.migrations.revision import run_sql

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    run_sql(__file__)
