"""The content rules as staff edit them: versioned, with what they refuse kept for the next dry run."""

from deploy.migrations.revision import run_sql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    run_sql(__file__)
