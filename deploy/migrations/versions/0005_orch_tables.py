"""Messages, their history, every attempt to submit them, and idempotency keys."""

from deploy.migrations.revision import run_sql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    run_sql(__file__)
