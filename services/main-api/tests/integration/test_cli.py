"""The operators' command line, as a process of its own, as they run it."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from sema_common.platform.db import Database
from sema_common.values.ids import new_id
from tests.kit.seeds import accept, new_message, open_account

Cli = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def cli(settings: dict[str, Any]) -> Cli:
    env = os.environ | {name.upper(): str(value) for name, value in settings.items()}

    async def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sema_main_api.cli", *arguments),
            env=env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(stdin.encode())
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    return run


async def test_an_account_is_opened_and_its_key_works(
    cli: Cli, client: httpx.AsyncClient, pipeline: Database
) -> None:
    code, out, err = await cli("account", "create", "--name", "Acme", "--credit", "12.5", "--tier", "growth")
    assert (code, err) == (0, "")
    lines = dict(line.split("=", 1) for line in out.splitlines())
    assert list(lines) == ["SEMA_ACCOUNT_ID", "SEMA_API_KEY", "SEMA_TEST_API_KEY"]
    headers = {"authorization": f"Bearer {lines['SEMA_API_KEY']}"}
    balance = await client.get("/v1/balance", headers=headers)
    assert balance.json()["balance"]["amount"] == "12.5000"
    senders = await client.get("/v1/sender-ids", headers=headers)
    assert [(s["sender"], s["status"]) for s in senders.json()["data"]] == [("SEMALINK", "approved")]
    actor = await pipeline.fetchval(
        "SELECT actor FROM core.audit_log WHERE subject_id = $1", lines["SEMA_ACCOUNT_ID"]
    )
    assert actor.startswith("operator")


async def test_a_refund_policy_is_set_and_written_down(cli: Cli, pipeline: Database) -> None:
    async with pipeline.transaction() as tx:
        account = await open_account(tx)
    for undelivered, before in (("yes", False), ("no", True)):
        code, out, err = await cli("refunds", "set", "--account", str(account), "--undelivered", undelivered)
        assert (code, out, err) == (0, f"SEMA_REFUND_UNDELIVERED={undelivered}\n", "")
        row = await pipeline.fetchrow(
            "SELECT a.refund_undelivered, l.before, l.after FROM core.accounts a JOIN core.audit_log l"
            " ON l.account_id = a.id WHERE a.id = $1 AND l.action = 'account.refund_policy' ORDER BY l.id DESC",
            account,
        )
        assert row is not None
        on = undelivered == "yes"
        assert tuple(row) == (on, {"refund_undelivered": before}, {"refund_undelivered": on})
    code, _, err = await cli("refunds", "set", "--account", str(new_id()), "--undelivered", "yes")
    assert (code, err) == (1, "There is no such account.\n")


async def test_people_are_made_once_for_an_address(cli: Cli, client: httpx.AsyncClient) -> None:
    _, out, _ = await cli("account", "create", "--name", "Acme", "--json")
    account = json.loads(out)["SEMA_ACCOUNT_ID"]
    owner = ("owner", "create", "--account", account, "--email", "Ann@Example.com", "--password", "-")
    first = await cli(*owner, stdin="first password\n")
    second = await cli(*owner, stdin="second password\n")
    assert first[:2] == second[:2]
    statuses = [
        (await client.post("/v1/auth/login", json={"email": "ann@example.com", "password": word})).status_code
        for word in ("first password", "second password")
    ]
    assert statuses == [401, 200]
    code, _, err = await cli("staff", "create", "--email", "ann@example.com", "--password", "long enough")
    assert (code, err) == (1, "Somebody of another account has this address.\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("account", "create", "--name", "Acme", "--credit", "-1"),
        ("account", "create", "--name", "Acme", "--credit", "0.00001"),
        ("account", "create", "--name", "Acme", "--tier", "gold"),
        ("account", "create", "--name", " "),
        ("account", "create", "--name", "Acme", "--sender", "far too long a sender"),
        ("staff", "create", "--email", "nonsense", "--password", "long enough"),
        ("staff", "create", "--email", "a@b.example", "--password", "short"),
        ("owner", "create", "--account", "x", "--email", "a@b.example", "--password", "long enough"),
    ],
)
async def test_what_makes_no_sense_is_refused(cli: Cli, arguments: tuple[str, ...]) -> None:
    code, out, err = await cli(*arguments)
    assert code in (1, 2)
    assert out == ""
    assert "Traceback" not in err


async def test_the_openapi_document_needs_no_settings(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sema_main_api.cli", "openapi", "write", str(tmp_path / "api.json")), env={}
    )
    assert await process.wait() == 0
    assert json.loads((tmp_path / "api.json").read_text())["openapi"] == "3.1.0"


async def test_a_status_that_its_history_does_not_bear_out_is_named_and_mended(
    cli: Cli, pipeline: Database
) -> None:
    async with pipeline.transaction() as tx:
        account = await open_account(tx, balance="5")
        (message,) = await accept(tx, [new_message(account)])
        await tx.execute(
            "UPDATE orch.sms_messages SET status = 'delivered' WHERE message_id = $1", message.message_id
        )
    code, out, err = await cli("history", "compare")
    assert (code, out) == (0, "SEMA_DIFFERENT=1\n")
    assert f"{message.message_id} is delivered, its history says submitted" in err
    assert (await cli("history", "rebuild"))[1] == "SEMA_DIFFERENT=1\n"
    assert (await cli("history", "compare"))[1] == "SEMA_DIFFERENT=0\n"
    audited = await pipeline.fetchval("SELECT count(*) FROM core.audit_log WHERE action = 'history.rebuild'")
    assert audited == 1


async def test_a_month_is_invoiced_once_however_often_it_is_run(cli: Cli, pipeline: Database) -> None:
    for _ in range(2):
        code, out, err = await cli("invoices", "run", "--month", "2026-08")
        assert (code, out.strip(), err) == (0, "SEMA_INVOICES_MADE=0", "")
    code, out, err = await cli("invoices", "run", "--month", "2099-01")
    assert (code, out) == (1, "")
    assert "not over" in err
    runs = await pipeline.fetchval("SELECT count(*) FROM core.audit_log WHERE action = 'invoices.run'")
    assert runs == 2
