"""M-Pesa through the whole stack: paid by the prompt, by hand, not at all."""

from decimal import Decimal
from itertools import count
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Shop
from tests.kit.client import eventually

pytestmark = pytest.mark.stack

_LINES = count(1)


async def ask(shop: Shop, amount: str, phone: str) -> dict[str, Any]:
    body = {"amount": {"amount": amount, "currency": "KES"}, "phone": phone}
    answer = await shop.api.post("/v1/top-ups", body)
    assert answer.status_code == 202, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def becomes(shop: Shop, top_up: dict[str, Any], status: str) -> dict[str, Any]:
    async def look() -> dict[str, Any]:
        found: dict[str, Any] = await shop.api.get(f"/v1/top-ups/{top_up['id']}")
        assert found["status"] == status, found
        return found

    return await eventually(look, 30.0)


async def credited(shop: Shop, *amounts: int) -> None:
    async def look() -> None:
        rows = await shop.db.fetch(
            "SELECT amount FROM billing.credit_ledger WHERE account_id = $1::uuid AND kind = 'top_up'",
            str(shop.api.account_id),
        )
        assert sorted(row["amount"] for row in rows) == sorted(map(Decimal, amounts))

    await eventually(look, 30.0)


async def test_a_customer_pays_by_prompt_and_by_hand(shop: Shop) -> None:
    line = next(_LINES)
    cancelled = await ask(shop, "50", f"+2547{line}9991032")
    paid = await ask(shop, "200", f"+2547{line}9998001")  # and the callback is lost
    assert (await becomes(shop, cancelled, "failed"))["reason"] == "cancelled"
    done = await becomes(shop, paid, "succeeded")
    sandbox: httpx.AsyncClient = shop.sandbox.http
    by_hand = {"account": done["pay_bill"]["account_number"].lower(), "amount": "70"}
    assert (await sandbox.post("/_control/daraja/pay", json=by_hand)).json()["accepted"]
    refused = await sandbox.post("/_control/daraja/pay", json=by_hand | {"account": "NOBODY"})
    assert refused.json() == {"accepted": False, "result_code": "C2B00012"}
    await credited(shop, 200, 70)
    assert await shop.balance() == "10270.0000"
