"""The monthly run, and what customers and staff see of it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from sema_common.billing import ledger
from sema_common.billing.invoices import making
from sema_common.platform.db import Database
from sema_common.platform.secrets import SecretBox
from sema_common.values.errors import Refused
from sema_common.values.ids import new_id
from sema_main_api.accounts.opening import Opened
from sema_main_api.http.passwords import hash_password
from sema_main_api.invoices import loops, running
from sema_main_api.invoices.dunning import Reminders
from sema_main_api.invoices.running import Runs
from sema_main_api.settings import Settings
from sema_main_api.users.people import put_owner

Headers = dict[str, str]
OpenAccount = Callable[..., Awaitable[Opened]]
MONTH, NEXT = date(2026, 9, 1), date(2026, 10, 1)

SQL_USAGE = """
INSERT INTO billing.usage_days (account_id, day, sent_by, country, mno, rate, tenant_id, messages, segments, amount,
    refunded_messages, refunded_segments, refunded_amount)
VALUES ($1, $2, $1, $3, $4, $5::numeric, $1, $6, $6, $6::bigint * $5::numeric, $7, $7, $7::bigint * $5::numeric)
"""
SQL_BOOK = """
INSERT INTO billing.ledger_days AS d
    (account_id, day, kind, counter_account, tenant_id, entries, amount, first_entry, last_entry)
VALUES ($1, $2, 'charge', 'revenue', $1, 1, $3, 0, 0), ($1, $4, 'adjustment', 'adjustments', $1, 1, -$3, 0, 0)
ON CONFLICT (account_id, day, kind, counter_account) DO UPDATE SET amount = d.amount + excluded.amount
"""


async def use(
    db: Database,
    account: UUID,
    messages: int,
    *,
    day: date = MONTH,
    rate: str = "0.8",
    mno: str = "Safaricom",
    country: str = "KE",
    refunded: int = 0,
    paid_on: date | None = None,
) -> None:
    """What accounting would have added up, and the credit that paid for it, on the same day or on `paid_on`."""
    async with db.transaction() as tx:
        await tx.execute(SQL_USAGE, account, day, country, mno, Decimal(rate), messages, refunded)
        await tx.execute(SQL_BOOK, account, day, -Decimal(rate) * (messages - refunded), paid_on or day)


@pytest.fixture
def runs(pipeline: Database, box: SecretBox, settings: dict[str, Any]) -> Runs:
    return Runs(pipeline, box, Settings(**settings).invoice_terms, "https://app.example.com")


async def numbers(db: Database) -> list[int]:
    return [row["number"] for row in await db.fetch("SELECT number FROM billing.invoices ORDER BY number")]


async def test_an_invoice_has_a_line_for_each_network_and_rate_and_is_paid_from_the_balance(
    client: httpx.AsyncClient, pipeline: Database, runs: Runs, account: Opened, auth: Headers
) -> None:
    me = account.account_id
    await use(pipeline, me, 100, refunded=10)
    await use(pipeline, me, 100, day=date(2026, 9, 30), rate="0.7777")
    await use(pipeline, me, 3, day=date(2026, 9, 30), rate="3.5", mno="", country="UG")
    await use(pipeline, me, 1000, day=date(2026, 10, 1))
    assert await runs.run(MONTH) == 1
    [listed] = (await client.get("/v1/invoices", headers=auth)).json()["data"]
    shown = (await client.get(f"/v1/invoices/{listed['id']}", headers=auth)).json()
    lines = shown.pop("lines")
    assert shown == listed
    assert [
        (x["country"], x["mno"], x["rate"]["amount"], x["messages"], x["amount"]["amount"]) for x in lines
    ] == [
        ("KE", "Safaricom", "0.7777", 100, "77.7700"),
        ("KE", "Safaricom", "0.8000", 90, "72.0000"),
        ("UG", None, "3.5000", 3, "10.5000"),
    ]
    assert (shown["number"], shown["month"], shown["status"], shown["terms"]) == (
        f"SL-{shown['issued_at'][:4]}-000001",
        "2026-09",
        "paid",
        "prepaid",
    )
    assert [shown[sum_]["amount"] for sum_ in ("net", "vat", "total")] == ["138.1600", "22.1100", "160.2700"]


async def test_a_run_that_breaks_off_goes_on_where_it_was_and_numbers_have_no_gap(
    pipeline: Database, runs: Runs, open_: OpenAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "AT_ONCE", 2)
    for _ in range(5):
        await use(pipeline, (await open_()).account_id, 10)
    advance = making.advance
    calls = 0

    async def breaking(*args: Any, **kwargs: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ZeroDivisionError
        await advance(*args, **kwargs)

    with monkeypatch.context() as broken:
        broken.setattr(making, "advance", breaking)
        with pytest.raises(ZeroDivisionError):
            await runs.run(MONTH)
    assert await numbers(pipeline) == [1, 2]
    assert sum(await asyncio.gather(runs.run(MONTH), runs.run(MONTH))) == 3
    assert await runs.run(MONTH, again=True) == 0
    assert await numbers(pipeline) == [1, 2, 3, 4, 5]


async def test_a_month_that_is_not_over_or_does_not_add_up_is_refused(
    pipeline: Database, runs: Runs, account: Opened
) -> None:
    this_month = datetime.now().astimezone().date().replace(day=1)
    with pytest.raises(Refused, match="not over"):
        await runs.run(this_month)
    await use(pipeline, account.account_id, 10)
    await pipeline.execute("UPDATE billing.usage_days SET amount = amount + 1")
    with pytest.raises(Refused, match="wrong"):
        await runs.run(MONTH)
    assert await numbers(pipeline) == []


async def test_an_agent_gets_the_invoice_and_his_customer_none(
    client: httpx.AsyncClient, pipeline: Database, runs: Runs, open_: OpenAccount
) -> None:
    agent = await open_(type="agent")
    customer = await open_(type="agent_customer", agent=agent.account_id, credit="0")
    await use(pipeline, agent.account_id, 10)
    assert await runs.run(MONTH) == 1
    headers = {"authorization": f"Bearer {customer.live_key}"}
    assert (await client.get("/v1/invoices", headers=headers)).json()["data"] == []
    invoice_id = await pipeline.fetchval("SELECT id FROM billing.invoices")
    for path in (f"/v1/invoices/{invoice_id}", f"/v1/invoices/{invoice_id}.pdf"):
        assert (await client.get(path, headers=headers)).status_code == 404


async def test_the_profile_of_the_customer_is_on_the_invoice_and_decides_the_vat(
    client: httpx.AsyncClient, pipeline: Database, runs: Runs, account: Opened, auth: Headers
) -> None:
    async with pipeline.transaction() as tx:
        await put_owner(
            tx, account.account_id, "o@example.com", hash_password("correct horse battery"), "test"
        )
    answer = await client.post(
        "/v1/auth/login", json={"email": "o@example.com", "password": "correct horse battery"}
    )
    owner = {"authorization": f"Bearer {answer.json()['access_token']}"}
    unset = (await client.get("/v1/billing-profile", headers=auth)).json()
    assert (unset["legal_name"], unset["country"], unset["email"]) == ("Test", "KE", None)
    profile = {
        "legal_name": "Kampala Maji Ltd",
        "address": "Plot 4\nKampala",
        "country": "UG",
        "tax_pin": "100",
    }
    assert (await client.put("/v1/billing-profile", json=profile, headers=auth)).status_code == 403
    put = await client.put("/v1/billing-profile", json=profile, headers=owner)
    assert put.json() == profile | {"vat_number": "", "reference": "", "email": None}
    assert (await client.get("/v1/billing-profile", headers=auth)).json() == put.json()
    await use(pipeline, account.account_id, 100)
    await runs.run(MONTH)
    [listed] = (await client.get("/v1/invoices", headers=auth)).json()["data"]
    assert listed["customer"] == {
        "name": "Kampala Maji Ltd", "address": "Plot 4\nKampala", "tax_pin": "100", "vat_number": "",
    }  # fmt: skip
    assert (listed["vat_rate"], listed["vat"]["amount"]) == ("0.0000", "0.0000")
    [mail] = await pipeline.fetch("SELECT recipient, kind FROM core.mails WHERE kind = 'invoice'")
    assert mail["recipient"] == "o@example.com"
    pdf = await client.get(f"/v1/invoices/{listed['id']}.pdf", headers=auth)
    assert (pdf.status_code, pdf.headers["content-type"], pdf.content[:5]) == (
        200,
        "application/pdf",
        b"%PDF-",
    )
    assert pdf.headers["content-disposition"] == f'inline; filename="{listed["number"]}.pdf"'


@pytest.fixture
async def owed(pipeline: Database, owner: Database, runs: Runs, account: Opened) -> UUID:
    """The invoice of a postpaid account over 92.80."""
    await use(pipeline, account.account_id, 100, paid_on=NEXT)
    await owner.execute(
        "UPDATE billing.credits SET credit_limit = 500 WHERE account_id = $1", account.account_id
    )
    await runs.run(MONTH)
    invoice_id: UUID = await pipeline.fetchval("SELECT id FROM billing.invoices")
    return invoice_id


async def state(db: Database) -> tuple[str, int]:
    row = await db.fetchrow("SELECT state, reminders FROM billing.invoices")
    assert row is not None
    return row["state"], row["reminders"]


async def test_an_unpaid_invoice_is_due_then_overdue_and_each_step_is_told_once(
    pipeline: Database, owner: Database, box: SecretBox, settings: dict[str, Any], owed: UUID, account: Opened
) -> None:
    async with pipeline.transaction() as tx:
        await put_owner(tx, account.account_id, "o@example.com", "hash", "test")
    reminders = Reminders(
        pipeline, box, Settings(**settings).invoice_terms.dunning, "https://app.example.com"
    )
    seen = []
    for days in (0, 14, 16, 17, 17, 24, 34, 99):
        await owner.execute(
            "UPDATE billing.invoices SET due_on = current_date + 14 - $1::integer,"
            " next_step_on = next_step_on - (due_on - (current_date + 14 - $1::integer))",
            days,
        )
        await reminders.advance()
        seen.append((await state(pipeline), await pipeline.fetchval("SELECT count(*) FROM core.mails")))
    assert seen == [
        (("open", 0), 0),
        (("due", 0), 1),
        (("due", 0), 1),
        (("overdue", 1), 2),
        (("overdue", 1), 2),
        (("overdue", 2), 3),
        (("overdue", 3), 4),
        (("overdue", 3), 4),
    ]


async def test_what_was_paid_in_advance_on_postpaid_terms_is_not_asked_for_again(
    client: httpx.AsyncClient,
    pipeline: Database,
    owner: Database,
    runs: Runs,
    account: Opened,
    auth: Headers,
    staff: Callable[..., Awaitable[Headers]],
) -> None:
    await use(pipeline, account.account_id, 100)
    await use(pipeline, account.account_id, 50, day=date(2026, 9, 30), paid_on=NEXT)
    await owner.execute("UPDATE billing.credits SET credit_limit = 500")
    await runs.run(MONTH)
    [shown] = (await client.get("/v1/invoices", headers=auth)).json()["data"]
    sums = ("net", "total", "from_balance", "amount_due")
    assert [shown[each]["amount"] for each in sums] == ["120.0000", "139.2000", "80.0000", "59.2000"]
    assert shown["status"] == "open"
    pdf = await client.get(f"/v1/invoices/{shown['id']}.pdf", headers=auth)
    assert pdf.status_code == 200
    body = {"method": "bank", "reference": "FT26325", "reason": "seen", "credit": True}
    done = await client.post(f"/v1/admin/invoices/{shown['id']}/pay", json=body, headers=await staff())
    assert done.json()["settlement"]["from_balance"] == "80.00"
    [entry, *_] = (await client.get("/v1/ledger", headers=auth)).json()["data"]
    assert (entry["kind"], entry["amount"]["amount"]) == ("adjustment", "40.0000")


async def test_an_invoice_without_vat_that_was_paid_in_advance_is_paid(
    client: httpx.AsyncClient, pipeline: Database, owner: Database, runs: Runs, account: Opened, auth: Headers
) -> None:
    me = account.account_id
    await owner.execute(
        "INSERT INTO billing.profiles (account_id, tenant_id, legal_name, country) VALUES ($1, $1, 'K', 'UG')",
        me,
    )
    await use(pipeline, me, 100)
    await owner.execute("UPDATE billing.credits SET credit_limit = 500")
    await runs.run(MONTH)
    [shown] = (await client.get("/v1/invoices", headers=auth)).json()["data"]
    found = (shown["status"], shown["terms"], shown["from_balance"]["amount"], shown["amount_due"]["amount"])
    assert found == ("paid", "postpaid", "80.0000", "0.0000")


async def test_staff_mark_an_invoice_paid_once_and_its_net_amount_is_on_the_balance(
    client: httpx.AsyncClient,
    pipeline: Database,
    owed: UUID,
    account: Opened,
    auth: Headers,
    staff: Callable[..., Awaitable[Headers]],
) -> None:
    admin, support = await staff(), await staff("staff_support")
    [listed] = (await client.get("/v1/admin/invoices?status=open", headers=support)).json()["data"]
    assert (listed["id"], listed["total"]["amount"]) == (str(owed), "92.8000")
    body = {"method": "bank", "reference": "FT26325", "reason": "seen on the statement", "credit": True}
    path = f"/v1/admin/invoices/{owed}/pay"
    assert (await client.post(path, json=body, headers=support)).status_code == 403
    answers = await asyncio.gather(*(client.post(path, json=body, headers=admin) for _ in range(3)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert {answer.json().get("code") for answer in answers} == {None, "already_settled"}
    balance = (await client.get("/v1/balance", headers=auth)).json()
    assert balance["balance"]["amount"] == "180.0000"
    assert (await client.get(f"/v1/invoices/{owed}", headers=auth)).json()["status"] == "paid"
    [line] = await pipeline.fetch(
        "SELECT before, after, reason FROM core.audit_log WHERE action = 'invoice.paid'"
    )
    assert (line["before"]["status"], line["after"]["reference"]) == ("open", "FT26325")
    pdf = await client.get(f"/v1/admin/invoices/{owed}.pdf", headers=support)
    assert pdf.content[:5] == b"%PDF-"


async def test_vat_that_came_by_m_pesa_does_not_stay_on_the_balance(
    client: httpx.AsyncClient,
    pipeline: Database,
    owed: UUID,
    account: Opened,
    auth: Headers,
    staff: Callable[..., Awaitable[Headers]],
) -> None:
    async with pipeline.transaction() as tx:
        await ledger.top_up(tx, account.account_id, Decimal("92.8"), new_id())
    body = {"method": "mpesa", "reference": "TAB1234567", "reason": "the whole of it"}
    done = await client.post(f"/v1/admin/invoices/{owed}/pay", json=body, headers=await staff())
    assert done.json()["status"] == "paid"
    balance = (await client.get("/v1/balance", headers=auth)).json()
    assert balance["balance"]["amount"] == "180.0000"


async def test_what_is_written_off_is_reminded_of_no_more(
    client: httpx.AsyncClient, pipeline: Database, owed: UUID, staff: Callable[..., Awaitable[Headers]]
) -> None:
    admin = await staff()
    path = f"/v1/admin/invoices/{owed}/write-off"
    assert (await client.post(path, json={"reason": "no"}, headers=admin)).status_code == 422
    done = await client.post(path, json={"reason": "insolvent"}, headers=admin)
    assert (done.json()["status"], done.json()["settlement"]) == ("written_off", {"reason": "insolvent"})
    assert await pipeline.fetchval("SELECT next_step_on FROM billing.invoices") is None


async def test_the_loop_makes_last_months_invoices_once(
    pipeline: Database, runs: Runs, account: Opened
) -> None:
    last = loops.last_month(datetime.now().astimezone().date())
    await use(pipeline, account.account_id, 10, day=last + timedelta(days=3))
    monthly = loops.MonthlyRun(pipeline, runs)
    for _ in range(2):
        await monthly()
    assert await numbers(pipeline) == [1]
