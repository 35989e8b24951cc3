"""Who has how much, every movement of it, and what a segment costs."""

from deploy.migrations.revision import run_sql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    run_sql(__file__)
