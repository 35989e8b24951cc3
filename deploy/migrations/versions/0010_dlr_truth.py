"""Messages without a report: found, asked about, given up; refunds that wait for certainty."""

from deploy.migrations.revision import run_sql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    run_sql(__file__)
