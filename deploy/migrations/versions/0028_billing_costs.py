"""What aggregators charge; indexes of reports and of agents' lists."""

from deploy.migrations.revision import run_sql

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    run_sql(__file__)
