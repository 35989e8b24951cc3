"""What a key may be bound to: networks, and a rate of its own."""

from deploy.migrations.revision import run_sql

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    run_sql(__file__)
