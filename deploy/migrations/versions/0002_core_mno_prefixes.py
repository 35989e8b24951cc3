"""The first rows of the MNO registry, curated and from libphonenumber."""

from deploy.migrations.revision import run_sql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    run_sql(__file__)
