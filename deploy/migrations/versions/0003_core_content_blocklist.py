"""The content rules that a new installation starts with: few, and each one safe to enforce on the first day."""

from deploy.migrations.revision import run_sql

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    run_sql(__file__)
