"""Dead letters, quarantined reports and the audit log as staff work with them."""

from deploy.migrations.revision import run_sql

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    run_sql(__file__)
