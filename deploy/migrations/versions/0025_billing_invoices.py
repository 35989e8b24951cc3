"""Invoices: billing profiles, runs, numbers, lines and how far a payment is."""

from deploy.migrations.revision import run_sql

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    run_sql(__file__)
