"""Delivery reports as they came and what became of them; and what nobody could read."""

from deploy.migrations.revision import run_sql

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    run_sql(__file__)
