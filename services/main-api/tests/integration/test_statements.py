"""Statements and CSV, as a bookkeeper asks for them."""

import csv
import io
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import httpx
import pytest

from sema_common.billing import ledger
from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_main_api.accounts.opening import Opened
from sema_main_api.billing import statements
from tests.kit.accounting import add_up, backdate

Headers = dict[str, str]


async def move(db: Database, account: Opened, *amounts: str) -> None:
    async with db.transaction() as tx:
        for amount in amounts:
            await ledger.adjust(tx, account.account_id, Decimal(amount), uuid4(), "adjustment")


def table(response: httpx.Response) -> list[dict[str, str]]:
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.text)))


async def test_a_statement_adds_up_from_opening_to_closing_balance(
    client: httpx.AsyncClient, account: Opened, auth: Headers, pipeline: Database, owner: Database
) -> None:
    await backdate(owner, "opening", datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC))
    await add_up(pipeline)
    await move(pipeline, account, "-30", "12.5")
    month = f"{now():%Y-%m}"
    found = (await client.get("/v1/statements", headers=auth)).json()["data"]
    assert [found[0]["month"], found[-1]["month"]] == [month, "2026-10"]
    assert found[-1]["closing_balance"]["amount"] == found[-2]["opening_balance"]["amount"] == "100.0000"
    shown = (await client.get(f"/v1/statements/{month}", headers=auth)).json()
    assert shown == found[0]
    assert shown["opening_balance"]["amount"] == "100.0000"
    assert shown["closing_balance"]["amount"] == "82.5000"
    assert shown["movements"] == [
        {"kind": "adjustment", "entries": 2, "amount": {"amount": "-17.5000", "currency": "KES"}}
    ]


async def test_the_csv_of_a_statement_holds_every_movement_once_over_pages_and_months(
    client: httpx.AsyncClient,
    account: Opened,
    auth: Headers,
    pipeline: Database,
    owner: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statements, "ROWS", 3)
    await backdate(owner, "opening", datetime(2026, 9, 5, tzinfo=UTC))
    await move(pipeline, account, "-1", "-2", "-3", "-4", "-5", "-6")
    await backdate(owner, "adjustment", datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC))
    await move(pipeline, account, "50")
    await add_up(pipeline)
    rows = table(await client.get("/v1/statements/2026-10.csv", headers=auth))
    assert [row["kind"] for row in rows] == ["opening_balance", *["adjustment"] * 6, "closing_balance"]
    assert [row["amount"] for row in rows[1:-1]] == [f"-{n}.0000" for n in range(1, 7)]
    assert (rows[0]["balance"], rows[-1]["balance"]) == ("100.0000", "79.0000")
    everything = table(await client.get("/v1/ledger.csv", headers=auth))
    assert len(everything) == 8
    some = await client.get("/v1/ledger.csv", headers=auth, params={"created_after": "2026-11-01T00:00:00Z"})
    assert [row["amount"] for row in table(some)] == ["50.0000"]


async def test_a_ledger_from_the_first_year_to_the_last_is_whole(
    client: httpx.AsyncClient, account: Opened, auth: Headers
) -> None:
    ends = {"created_after": "0001-01-01T00:00:00Z", "created_before": "9999-12-31T23:59:59Z"}
    whole = table(await client.get("/v1/ledger.csv", headers=auth, params=ends))
    assert [row["kind"] for row in whole] == ["opening"]
    turned = {"created_after": ends["created_before"], "created_before": ends["created_after"]}
    assert table(await client.get("/v1/ledger.csv", headers=auth, params=turned)) == []


async def test_a_month_without_an_account_or_of_no_calendar_is_not_found(
    client: httpx.AsyncClient, auth: Headers
) -> None:
    for month in ("2019-01", "2026-13", "soon", "1999-12", "2026-13.csv", "2019-01.csv", "2026-1", "9999-12"):
        assert (await client.get(f"/v1/statements/{month}", headers=auth)).status_code == 404, month


async def test_an_agents_customer_is_told_no_statement(
    client: httpx.AsyncClient, open_: Callable[..., Awaitable[Opened]]
) -> None:
    agent = await open_(type="agent")
    customer = await open_(type="agent_customer", agent=agent.account_id, credit="0")
    headers = {"authorization": f"Bearer {customer.live_key}"}
    month = f"{now():%Y-%m}"
    for path in (
        "/v1/statements",
        f"/v1/statements/{month}",
        f"/v1/statements/{month}.csv",
        "/v1/ledger.csv",
    ):
        response = await client.get(path, headers=headers)
        assert (response.status_code, response.json()["code"]) == (403, "billed_to_agent")
