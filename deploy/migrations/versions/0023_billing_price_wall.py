"""A price that is agreed with one account is walled like the account."""

from deploy.migrations.revision import run_sql

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    run_sql(__file__)
