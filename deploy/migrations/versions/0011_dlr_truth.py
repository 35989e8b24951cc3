"""Messages without a report: found, asked about, given up; refunds that wait for certainty."""

from deploy.migrations.revision import run_sql

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    run_sql(__file__)
