"""What people have begun and not finished, their second factor, and the mail that is owed to them."""

from deploy.migrations.revision import run_sql

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    run_sql(__file__)
