"""Campaigns whose recipients are deleted are marked, and their parts go too."""

from deploy.migrations.revision import run_sql

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    run_sql(__file__)
