"""A campaign through the running rooms: contacts uploaded and validated, the text judged, every recipient witnessed."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from tests.e2e.conftest import Shop
from tests.kit.client import eventually

pytestmark = pytest.mark.stack

Number = Callable[[], str]
EVENTS = ["campaign.completed", "campaign.rejected"]
PRICE = Decimal("0.8000")


async def validated_list(shop: Shop, contacts: list[dict[str, Any]]) -> str:
    """A list of the customer, once phone-validator is through with it."""
    made = await shop.api.post("/v1/contact-lists", {"name": "Spring", "default_country": "KE"})
    list_id: str = made.json()["id"]
    answer = await shop.api.post(f"/v1/contact-lists/{list_id}/contacts", {"contacts": contacts})
    assert answer.status_code == 202, answer.text
    job = answer.json()["validation_job_id"]

    async def done() -> None:
        found = await shop.api.get(f"/v1/validation-jobs/{job}")
        assert found["status"] == "completed", found

    await eventually(done, 30.0)
    return list_id


async def submit(shop: Shop, list_id: str, message: str, **more: Any) -> dict[str, Any]:
    body = {"name": "Spring", "contact_list_id": list_id, "from": "SEMALINK", "message": message} | more
    answer = await shop.api.post("/v1/campaigns", body)
    assert answer.status_code == 202, answer.text
    campaign: dict[str, Any] = answer.json()
    return campaign


async def test_a_campaign_reaches_every_valid_recipient_once_and_costs_what_was_quoted(
    shop: Shop, number: Number
) -> None:
    hook = await shop.hook(EVENTS)
    numbers = [number() for _ in range(45)]
    contacts: list[dict[str, Any]] = [
        {"phone": to, "name": f"Customer {index}"} for index, to in enumerate(numbers)
    ]
    opted_out = number()
    put = await shop.api.post("/v1/suppressions", {"phone": opted_out})
    assert put.status_code == 201
    list_id = await validated_list(shop, [*contacts, {"phone": opted_out}, {"phone": "12345"}])
    submitted = await submit(shop, list_id, "Habari {{name}}, karibu.")
    assert submitted["cost_estimate"]["amount"] == str(45 * PRICE)
    assert submitted["skipped"] == {"suppressed": 1, "duplicates": 0, "invalid": 1}
    assert Decimal(await shop.balance()) == 10_000 - 45 * PRICE
    told = await hook.gets("campaign.completed", submitted["id"], 30.0)
    assert told["data"]["totals"]["contacts"] == 45
    assert told["data"]["cost"] == submitted["cost_estimate"]
    witnessed = sorted((entry["to"], entry["text"]) for entry in await shop.submits())
    assert witnessed == sorted((to, f"Habari Customer {i}, karibu.") for i, to in enumerate(numbers))

    async def delivered() -> None:
        found = await shop.api.get(f"/v1/campaigns/{submitted['id']}")
        assert found["totals"]["delivered"] == 45, found

    await eventually(delivered, 30.0)
    assert Decimal(await shop.balance()) == 10_000 - 45 * PRICE


async def test_a_text_that_breaks_the_rules_is_rejected_with_reasons_and_the_reservation_comes_back(
    shop: Shop, number: Number
) -> None:
    hook = await shop.hook(EVENTS)
    list_id = await validated_list(shop, [{"phone": number()}])
    rejected = await submit(shop, list_id, "Claim your prize now: http://bit.ly/x")
    told = await hook.gets("campaign.rejected", rejected["id"])
    assert told["data"]["rejection_reasons"]
    found = await shop.api.get(f"/v1/campaigns/{rejected['id']}")
    assert (found["status"], found["rejection_reasons"]) == ("rejected", told["data"]["rejection_reasons"])
    assert Decimal(await shop.balance()) == 10_000
    assert await shop.submits() == []
