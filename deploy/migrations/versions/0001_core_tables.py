"""Accounts, users, keys, senders, registries, contacts and campaigns; the audit log and kept dead letters."""

from deploy.migrations.revision import run_sql

revision = "0001"
down_revision = None


def upgrade() -> None:
    run_sql(__file__)
