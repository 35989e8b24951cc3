"""A price that is agreed with one account is walled like the account."""

from deploy.migrations.revision import run_sql

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    run_sql(__file__)
