"""One valid call of every staff route that writes, each about something of its own.

A new route that is missing here fails the test that every staff action leaves its line in the audit log.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final
from uuid import UUID

from sema_common.values.clock import now
from sema_common.values.ids import new_id
from tests.kit import seeds
from tests.kit.accounting import insert_invoice
from tests.kit.letters import Office

WHY: Final = {"reason": "the test wants it"}
CSV: Final = {"content-type": "text/csv"}
_numbers: Final = count(1)


@dataclass(frozen=True, slots=True)
class StaffCall:
    """Where, and with what."""

    path: str
    json: dict[str, Any] | None = None
    params: dict[str, str] = field(default_factory=dict)
    content: bytes | None = None


Prepare = Callable[[Office], Awaitable[StaffCall]]


async def _account(office: Office) -> UUID:
    async with office.owner.transaction() as tx:
        return await seeds.open_account(tx)


async def _of_account(office: Office, end: str = "", **body: Any) -> StaffCall:
    return StaffCall(f"/v1/admin/accounts/{await _account(office)}{end}", WHY | body)


async def _suspended(office: Office) -> StaffCall:
    account = await _account(office)
    await office.owner.execute("UPDATE core.accounts SET status = 'suspended' WHERE id = $1", account)
    return StaffCall(f"/v1/admin/accounts/{account}/reactivate", WHY)


async def _agent(office: Office) -> StaffCall:
    account = await _account(office)
    await office.owner.execute("UPDATE core.accounts SET type = 'agent' WHERE id = $1", account)
    await office.owner.execute("INSERT INTO billing.agents (account_id, tenant_id) VALUES ($1, $1)", account)
    return StaffCall(f"/v1/admin/accounts/{account}/commission", {"rate": "0.1"} | WHY)


def _tariff() -> dict[str, Any]:
    money = {"amount": "0.5", "currency": "KES"}
    return {"country": "KE", "mno": f"Acme {next(_numbers)}", "price": money}


async def _price(_: Office) -> StaffCall:
    return StaffCall("/v1/admin/pricing", _tariff() | WHY)


async def _ended_price(office: Office) -> StaffCall:
    row = await office.owner.fetchval(
        "INSERT INTO billing.pricing_tiers (country, mno, currency, price, valid_from)"
        " VALUES ('KE', $1, 'KES', 1, now() - interval '1 day') RETURNING id",
        f"Acme {next(_numbers)}",
    )
    return StaffCall(f"/v1/admin/pricing/{row}/end", WHY)


async def _prices(_: Office) -> StaffCall:
    table = f"country,mno,price\nKE,Acme {next(_numbers)},0.9\n"
    return StaffCall("/v1/admin/pricing/import", content=table.encode())


async def _cost(_: Office) -> StaffCall:
    money = {"amount": "0.35", "currency": "KES"}
    body = {"aggregator": "celcom", "country": "KE", "mno": f"Acme {next(_numbers)}", "cost": money}
    return StaffCall("/v1/admin/accounting/costs", body | WHY)


async def _ended_cost(office: Office) -> StaffCall:
    row = await office.owner.fetchval(
        "INSERT INTO billing.aggregator_costs (aggregator, country, mno, currency, cost, valid_from)"
        " VALUES ('celcom', 'KE', $1, 'KES', 0.35, '2026-01-01') RETURNING id",
        f"Acme {next(_numbers)}",
    )
    return StaffCall(f"/v1/admin/accounting/costs/{row}/end", WHY)


async def _stray_payment(office: Office) -> str:
    receipt = f"TSTAFF{next(_numbers):04}"
    await office.owner.execute(
        "INSERT INTO billing.mpesa_payments (receipt, amount, bill_reference, paid_at, listed_at, state)"
        " VALUES ($1, 10, 'SHOP', now(), now(), 'unassigned')",
        receipt,
    )
    return f"/v1/admin/payments/{receipt}"


async def _assigned(office: Office) -> StaffCall:
    account = str(await _account(office))
    return StaffCall(f"{await _stray_payment(office)}/assign", {"account_id": account} | WHY)


async def _given_back(office: Office) -> StaffCall:
    return StaffCall(f"{await _stray_payment(office)}/return", WHY)


async def _colleague(office: Office) -> StaffCall:
    user = new_id()
    await office.owner.execute(
        "INSERT INTO core.users (id, email, password_hash, role) VALUES ($1, $2, 'x', 'staff_support')",
        *(user, f"{user.hex}@example.com"),
    )
    return StaffCall(f"/v1/admin/staff/{user}", {"name": "Zuri"} | WHY)


async def _invitation(_: Office) -> StaffCall:
    return StaffCall("/v1/admin/staff", {"email": f"{new_id().hex}@example.com", "role": "staff_support"})


async def _rule(office: Office) -> int:
    made: int = await office.owner.fetchval(
        "INSERT INTO core.content_blocklist (kind, value) VALUES ('word', $1) RETURNING id", _word()
    )
    return made


def _word() -> str:
    return "quince" + "abcdefghij"[next(_numbers) % 10] + "klmnopqrst"[next(_numbers) % 10]


async def _of_rule(office: Office, **body: Any) -> StaffCall:
    return StaffCall(f"/v1/admin/content-rules/{await _rule(office)}", body or None)


async def _new_rule(_: Office) -> StaffCall:
    return StaffCall("/v1/admin/content-rules", {"kind": "word", "value": _word()})


async def _rule_changes(office: Office) -> StaffCall:
    return StaffCall(
        "/v1/admin/content-rules/changes", {"remove": [await _rule(office)], "version": None} | WHY
    )


async def _prefix(office: Office) -> str:
    prefix = f"99{next(_numbers):06}"
    await office.owner.execute(
        "INSERT INTO core.mno_prefixes (prefix, source, country, calling_code, mno)"
        " VALUES ($1, 'curated', 'KE', '99', 'Acme')",
        prefix,
    )
    return prefix


async def _new_prefix(_: Office) -> StaffCall:
    return StaffCall(
        "/v1/admin/mno-prefixes", {"prefix": f"2547{next(_numbers):06}", "country": "KE", "mno": "Acme"}
    )


async def _gone_prefix(office: Office) -> StaffCall:
    return StaffCall(f"/v1/admin/mno-prefixes/{await _prefix(office)}")


async def _table(_: Office) -> StaffCall:
    row = f"KE,254,2547{next(_numbers):06},Acme,curated,"
    head = "country_iso2,country_code,prefix_e164_digits,mno,source,note"
    return StaffCall("/v1/admin/mno-prefixes/import", content=f"{head}\n{row}\n".encode())


async def _correction(office: Office) -> StaffCall:
    await office.owner.execute("DELETE FROM core.mno_prefixes WHERE prefix = '254744' AND source = 'curated'")
    return StaffCall("/v1/admin/mno-prefixes/disagreements/254744/correct")


async def _letter(office: Office, verb: str) -> StaffCall:
    letter = await office.dead_job(await office.accept())
    return StaffCall(f"/v1/admin/dlq/sms.normal/messages/{letter}/{verb}", WHY)


async def _letters(office: Office) -> StaffCall:
    letter = await office.dead_job(await office.accept())
    return StaffCall("/v1/admin/dlq/sms.normal/republish", {"ids": [str(letter)]} | WHY)


async def _quarantined(office: Office, verb: str) -> StaffCall:
    entry = new_id()
    await office.owner.execute(
        "INSERT INTO dlr.quarantine (id, aggregator, reason, content_type, query, body, received_at)"
        " VALUES ($1, 'celcom', 'no JSON', 'text/plain', '', 'x', $2)",
        *(entry, now()),
    )
    return StaffCall(f"/v1/admin/dlr-quarantine/{entry}/{verb}", WHY)


async def _route(office: Office) -> StaffCall:
    return StaffCall("/v1/admin/routing/aggregators/celcom", {"rank": 1 + next(_numbers) % 90} | WHY)


async def _account_route(office: Office) -> StaffCall:
    rule = {"aggregator": "celcom", "mode": "preferred"}
    return StaffCall(f"/v1/admin/routing/accounts/{await _account(office)}", rule | WHY)


async def _no_account_route(office: Office) -> StaffCall:
    account = await _account(office)
    await office.owner.execute(
        "INSERT INTO core.account_routes (account_id, tenant_id, aggregator, mode)"
        " VALUES ($1, $1, 'celcom', 'preferred')",
        account,
    )
    return StaffCall(f"/v1/admin/routing/accounts/{account}", params=WHY)


async def _invoice(office: Office, verb: str, **body: Any) -> StaffCall:
    invoice = await insert_invoice(office.owner, await _account(office))
    return StaffCall(f"/v1/admin/invoices/{invoice}/{verb}", WHY | body)


async def _sender(office: Office, verb: str) -> StaffCall:
    account, sender = await _account(office), new_id()
    name = f"ACME{next(_numbers)}"
    await office.owner.execute(
        "INSERT INTO core.sender_ids (id, tenant_id, account_id, sender, skeleton) VALUES ($1, $2, $2, $3, $4)",
        *(sender, account, name, name.lower()),
    )
    return StaffCall(f"/v1/admin/sender-ids/{sender}/{verb}", WHY)


async def _sender_rule(_: Office) -> StaffCall:
    return StaffCall("/v1/admin/sender-rules/KE", {"needs_registration": True} | WHY)


async def _no_sender_rule(_: Office) -> StaffCall:
    return StaffCall("/v1/admin/sender-rules/RW", params=WHY)


async def _protected_name(_: Office) -> StaffCall:
    return StaffCall("/v1/admin/protected-names", {"name": f"Acme {next(_numbers)}"})


async def _free_name(_: Office) -> StaffCall:
    return StaffCall("/v1/admin/protected-names/Safaricom", params=WHY)


WRITES: Final[dict[str, Prepare]] = {
    "POST /v1/admin/payments/{id}/assign": _assigned,
    "POST /v1/admin/payments/{id}/return": _given_back,
    "PATCH /v1/admin/accounts/{id}": lambda office: _of_account(office, tier="enterprise"),
    "POST /v1/admin/accounts/{id}/suspend": lambda office: _of_account(office, "/suspend"),
    "POST /v1/admin/accounts/{id}/reactivate": _suspended,
    "POST /v1/admin/accounts/{id}/adjustments": lambda office: _of_account(
        office, "/adjustments", amount={"amount": "5.00", "currency": "KES"}
    ),
    "PUT /v1/admin/accounts/{id}/commission": _agent,
    "POST /v1/admin/pricing": _price,
    "POST /v1/admin/pricing/{id}/end": _ended_price,
    "POST /v1/admin/pricing/import": _prices,
    "POST /v1/admin/accounting/costs": _cost,
    "POST /v1/admin/accounting/costs/{id}/end": _ended_cost,
    "POST /v1/admin/invoices/{id}/pay": lambda office: _invoice(
        office, "pay", method="bank", reference="FT1"
    ),
    "POST /v1/admin/invoices/{id}/write-off": lambda office: _invoice(office, "write-off"),
    "POST /v1/admin/sender-ids/{id}/approve": lambda office: _sender(office, "approve"),
    "POST /v1/admin/sender-ids/{id}/reject": lambda office: _sender(office, "reject"),
    "PUT /v1/admin/sender-rules/{country}": _sender_rule,
    "DELETE /v1/admin/sender-rules/{country}": _no_sender_rule,
    "POST /v1/admin/protected-names": _protected_name,
    "DELETE /v1/admin/protected-names/{name}": _free_name,
    "POST /v1/admin/staff": _invitation,
    "PATCH /v1/admin/staff/{id}": _colleague,
    "POST /v1/admin/content-rules": _new_rule,
    "POST /v1/admin/content-rules/changes": _rule_changes,
    "PATCH /v1/admin/content-rules/{id}": lambda office: _of_rule(office, whole_word=False),
    "DELETE /v1/admin/content-rules/{id}": _of_rule,
    "POST /v1/admin/mno-prefixes": _new_prefix,
    "DELETE /v1/admin/mno-prefixes/{prefix}": _gone_prefix,
    "POST /v1/admin/mno-prefixes/import": _table,
    "POST /v1/admin/mno-prefixes/disagreements/{prefix}/correct": _correction,
    "POST /v1/admin/dlq/{queue}/messages/{id}/republish": lambda office: _letter(office, "republish"),
    "POST /v1/admin/dlq/{queue}/messages/{id}/discard": lambda office: _letter(office, "discard"),
    "POST /v1/admin/dlq/{queue}/republish": _letters,
    "POST /v1/admin/dlr-quarantine/{id}/reread": lambda office: _quarantined(office, "reread"),
    "POST /v1/admin/dlr-quarantine/{id}/discard": lambda office: _quarantined(office, "discard"),
    "PATCH /v1/admin/routing/aggregators/{aggregator}": _route,
    "PUT /v1/admin/routing/accounts/{account_id}": _account_route,
    "DELETE /v1/admin/routing/accounts/{account_id}": _no_account_route,
}

READS: Final = {"POST /v1/admin/content-rules/dry-run", "POST /v1/admin/content-rules/explain"}
"""Questions that are too long for a URL: they write nothing."""
