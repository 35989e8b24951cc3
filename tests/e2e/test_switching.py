"""Staff switch aggregators and bind accounts to them; messages follow within seconds and say so."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Shop
from tests.kit.client import eventually
from tests.kit.stack import Stack

pytestmark = pytest.mark.stack

ROUTING = "/v1/admin/routing"


@pytest.fixture
async def admin(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A member of staff, logged in over HTTP."""
    async with httpx.AsyncClient(base_url=stack.env["SEMA_API_URL"], timeout=10) as http:
        who = {"email": stack.env["SEMA_STAFF_EMAIL"], "password": stack.env["SEMA_STAFF_PASSWORD"]}
        answer = await http.post("/v1/auth/login", json=who)
        http.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
        yield http


async def sent_by(shop: Shop) -> tuple[str, str]:
    """Which aggregator a new message went by, and the route in the customer's words."""
    message = await shop.api.send("+254712000017", "Which way does it go?")
    await shop.api.reaches(message["id"], "sent", "delivered")
    events = await shop.api.events(message["id"])
    detail: dict[str, Any] = next(e["detail"] for e in events if e["status"] == "sent")
    return detail["aggregator"], detail["route"]


async def goes(shop: Shop, aggregator: str, route: str) -> None:
    async def look() -> None:
        assert await sent_by(shop) == (aggregator, route)

    await eventually(look, 40.0)


async def test_an_aggregator_that_staff_switch_off_gets_nothing_until_it_is_on(
    shop: Shop, admin: httpx.AsyncClient
) -> None:
    await goes(shop, "celcom", "the usual route")
    celcom = f"{ROUTING}/aggregators/celcom"
    try:
        answer = await admin.patch(celcom, json={"enabled": False, "reason": "maintenance"})
        assert answer.status_code == 200, answer.text
        await goes(shop, "africastalking", "another route, because Celcom is not in use")

        async def shown() -> None:
            routing = (await admin.get(ROUTING)).json()
            assert routing["failover"] is True
            talking = next(r for r in routing["data"] if r["aggregator"] == "africastalking")
            assert talking["window"]["calls"] >= 1

        await eventually(shown, 5.0)  # workers tell each other a few times a second
    finally:
        await admin.patch(celcom, json={"enabled": True, "reason": "over"})
    await goes(shop, "celcom", "the usual route")


async def test_an_account_is_bound_to_an_aggregator_and_set_free(
    shop: Shop, admin: httpx.AsyncClient
) -> None:
    rule = f"{ROUTING}/accounts/{shop.api.account_id}"
    forced = {"aggregator": "africastalking", "mode": "forced", "reason": "their contract"}
    assert (await admin.put(rule, json=forced)).status_code == 200
    await goes(shop, "africastalking", "the only route that this account uses")
    assert (await admin.put(rule, json=forced | {"mode": "preferred"})).status_code == 200
    await goes(shop, "africastalking", "the route that this account prefers")
    assert (await admin.delete(rule)).status_code == 204
    await goes(shop, "celcom", "the usual route")
