"""Contact lists as customers fill them, and validation jobs that can be stopped and taken up again."""

from deploy.migrations.revision import run_sql

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    run_sql(__file__)
