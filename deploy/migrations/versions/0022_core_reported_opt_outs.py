"""sms-worker and dlr-processor add the opt-outs that aggregators report."""

from deploy.migrations.revision import run_sql

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    run_sql(__file__)
