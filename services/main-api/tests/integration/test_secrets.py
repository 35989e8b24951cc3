"""OWASP ASVS 11.2.2, 13.3.1, 13.3.4: what is sealed at rest is sealed anew, and the old key may go."""

from typing import Any

import httpx
import pytest

from sema_common.platform.db import Database
from sema_common.platform.mail import Mail, enqueue
from sema_common.platform.secrets import SecretBox
from sema_common.values.ids import new_id
from sema_main_api import cli
from sema_main_api.accounts.opening import Opened
from sema_main_api.secrets.rotating import rotate
from sema_main_api.secrets.store import COLUMNS
from tests.kit.fixtures import TestDatabase

HOOK = {"url": "https://hooks.example.com/x", "events": ["message.sent"]}

SQL_BYTES = """
SELECT c.oid::regclass::text || '.' || a.attname AS name FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.atttypid IN ('bytea'::regtype, 'bytea[]'::regtype)
  AND a.attnum > 0 AND NOT a.attisdropped
  AND c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
"""

NOT_SEALED = {
    "core.api_keys.hash": "SHA-256 of a key",
    "billing.top_ups.callback_hash": "SHA-256 of a callback's token",
    "core.registrations.token_hash": "SHA-256 of a link",
    "core.user_tokens.token_hash": "SHA-256 of a link",
    "core.user_totp.recovery": "SHA-256 of recovery codes",
    "core.dead_letters.body": "what a queue held, for staff to decide on",
    "core.dead_letters.sent_body": "what staff sent again",
    "core.content_refusals.hash": "of a refused text",
    "orch.idempotency_keys.fingerprint": "of a request",
    "dlr.quarantine.body": "what an aggregator sent",
}


async def furnish(
    client: httpx.AsyncClient, pipeline: Database, account: Opened, box: SecretBox
) -> dict[str, str]:
    """One of every sealed thing; what each says, by its column."""
    headers = {"authorization": f"Bearer {account.live_key}"}
    made = (await client.post("/v1/webhooks", json=HOOK, headers=headers)).json()
    rotated = (await client.post(f"/v1/webhooks/{made['id']}/rotate-secret", headers=headers)).json()
    default = await pipeline.fetchval(
        "SELECT webhook_secret FROM core.accounts WHERE id = $1", account.account_id
    )
    user = new_id()
    async with pipeline.transaction() as tx:
        await tx.execute(
            "INSERT INTO core.users (id, tenant_id, account_id, email, password_hash, role)"
            " VALUES ($1, $2, $2, 'a@example.com', 'x', 'owner')",
            *(user, account.account_id),
        )
        await tx.execute(
            "INSERT INTO core.user_totp (user_id, secret) VALUES ($1, $2)", user, box.seal("JBSWY3DP")
        )
        await enqueue(tx, box, Mail("a@example.com", "test", "Hello", "body"))
    return {
        "core.accounts.webhook_secret": box.open(default),
        "webhooks.endpoints.secret": rotated["secret"],
        "webhooks.endpoints.old_secret": made["secret"],
        "core.user_totp.secret": "JBSWY3DP",
        "core.mails.content": '{"subject":"Hello","text":"body"}',
    }


async def found(owner: Database, box: SecretBox) -> dict[str, str]:
    texts = {}
    for column in COLUMNS:
        table, name = column.name.rsplit(".", 1)
        texts[column.name] = box.open(await owner.fetchval(f"SELECT {name} FROM {table}"))
    return texts


async def test_after_a_rotation_the_new_key_alone_opens_everything(
    client: httpx.AsyncClient, pipeline: Database, owner: Database, account: Opened, box: SecretBox,
    settings: dict[str, Any],
) -> None:  # fmt: skip
    said = await furnish(client, pipeline, account, box)
    assert said.keys() == {column.name for column in COLUMNS}
    new = SecretBox.new_key()
    done = await rotate(pipeline, SecretBox(f"{new},{settings['secrets_keys']}"), "operator:test")
    assert (done.sealed, done.unreadable) == (dict.fromkeys(said, 1), [])
    assert await found(owner, SecretBox(new)) == said
    with pytest.raises(ValueError, match="none of the keys"):
        await found(owner, box)
    line = await owner.fetchrow("SELECT actor, after FROM core.audit_log WHERE action = 'secrets.rotated'")
    assert line is not None
    assert (line["actor"], line["after"]["unreadable"]) == ("operator:test", 0)
    assert not any(secret in str(line["after"]) for secret in said.values())


async def test_what_no_key_opens_is_named_and_left_as_it_is(
    pipeline: Database, owner: Database, account: Opened, box: SecretBox
) -> None:
    before = await owner.fetchval("SELECT webhook_secret FROM core.accounts")
    done = await rotate(pipeline, SecretBox(SecretBox.new_key()), "operator:test")
    assert done.unreadable == [f"core.accounts.webhook_secret {account.account_id}"]
    assert await owner.fetchval("SELECT webhook_secret FROM core.accounts") == before


async def test_every_column_of_bytes_is_rotated_or_holds_no_secret(database: TestDatabase) -> None:
    async with Database.open(database.owner_dsn, name="owner") as owner:
        names = {row["name"] for row in await owner.fetch(SQL_BYTES)}
    assert names - NOT_SEALED.keys() == {column.name for column in COLUMNS}


def test_the_command_is_there() -> None:
    assert cli.parser().parse_args(["secrets", "rotate"]).command is cli.rotate_secrets
