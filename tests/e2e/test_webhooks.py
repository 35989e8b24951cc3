"""Webhooks as customers get them: signed, retried with one id, rotated, disabled, redelivered."""

from collections.abc import Callable

import pytest

from tests.e2e.conftest import Hook, Shop
from tests.kit.client import Client, eventually, verify
from tests.kit.stack import Stack

pytestmark = pytest.mark.stack

Number = Callable[[], str]


async def attempts(hook: Hook, least: int) -> list[dict[str, object]]:
    """What the receiver got, once it was tried so often."""

    async def look() -> list[dict[str, object]]:
        got = await hook.sandbox.received(hook.name)
        assert len(got) >= least, f"{len(got)} of {least}"
        return got

    return await eventually(look)


async def test_a_failing_receiver_is_tried_again_with_the_same_id_and_bytes(
    shop: Shop, number: Number
) -> None:
    hook = await shop.hook(["message.delivered"])
    await shop.sandbox.answer_hook(hook.name, 500)
    accepted = await shop.api.send(number(), "Nobody listens yet")
    await attempts(hook, 2)
    await shop.sandbox.answer_hook(hook.name, 200)

    async def succeeded() -> None:
        page = await shop.api.get(f"/v1/webhooks/{hook.id}/deliveries", status="succeeded")
        assert len(page["data"]) == 1

    await eventually(succeeded)
    got = await shop.sandbox.received(hook.name)
    assert [receipt["answered"] for receipt in got][-1] == 200
    assert len({receipt["headers"]["webhook-id"] for receipt in got}) == 1
    assert len({receipt["body"] for receipt in got}) == 1
    for receipt in got:
        assert verify(receipt, hook.secrets[0])["data"]["id"] == accepted["id"]
    delivery = (await shop.api.get(f"/v1/webhooks/{hook.id}/deliveries"))["data"][0]
    detail = await shop.api.get(f"/v1/webhook-deliveries/{delivery['id']}")
    assert [attempt["status_code"] for attempt in detail["history"]] == [r["answered"] for r in got]


async def test_a_test_event_is_signed_like_any_other(shop: Shop) -> None:
    hook = await shop.hook()
    answer = await shop.api.post(f"/v1/webhooks/{hook.id}/test")
    assert answer.status_code == 202
    receipt = (await shop_receipts(shop, hook))[0]
    assert receipt["headers"]["webhook-id"] == answer.json()["event_id"]
    assert verify(receipt, hook.secrets[0])["type"] == "webhook.test"
    with pytest.raises(ValueError, match="signature"):
        verify(receipt, "whsec_" + "A" * 32)


async def shop_receipts(shop: Shop, hook: Hook) -> list[dict[str, dict[str, str]]]:
    async def look() -> list[dict[str, dict[str, str]]]:
        got = await shop.sandbox.received(hook.name)
        assert got
        return got

    return await eventually(look)


async def test_after_a_rotation_both_secrets_verify(shop: Shop, number: Number) -> None:
    hook = await shop.hook(["message.delivered"])
    rotated = await shop.api.post(f"/v1/webhooks/{hook.id}/rotate-secret")
    assert rotated.status_code == 200
    new = rotated.json()["secret"]
    assert new != hook.secrets[0]
    await shop.api.send(number(), "Signed twice")
    receipt = (await shop_receipts(shop, hook))[0]
    assert len(receipt["headers"]["webhook-signature"].split()) == 2
    assert verify(receipt, hook.secrets[0]) == verify(receipt, new)


async def test_410_disables_the_endpoint_and_the_customer_enables_it_again(
    shop: Shop, number: Number
) -> None:
    hook = await shop.hook(["message.delivered"])
    await shop.sandbox.answer_hook(hook.name, 410)
    await shop.api.send(number(), "Gone")

    async def disabled() -> None:
        endpoint = await shop.api.get(f"/v1/webhooks/{hook.id}")
        assert (endpoint["enabled"], endpoint["disabled_reason"]) == (False, "gone")

    await eventually(disabled)
    await shop.sandbox.answer_hook(hook.name, 200)
    answer = await shop.api.http.patch(f"/v1/webhooks/{hook.id}", json={"enabled": True})
    assert answer.json()["enabled"] is True

    async def told_again() -> None:
        accepted = await shop.api.send(number(), "Back again")
        await hook.gets("message.delivered", accepted["id"], seconds=3.0)

    await eventually(told_again)


async def test_a_delivery_is_made_once_more_on_request(shop: Shop, number: Number) -> None:
    hook = await shop.hook(["message.delivered"])
    accepted = await shop.api.send(number(), "Say that again")
    await hook.gets("message.delivered", accepted["id"])

    async def closed() -> str:
        page = await shop.api.get(f"/v1/webhooks/{hook.id}/deliveries", status="succeeded")
        assert page["data"]
        identity: str = page["data"][0]["id"]
        return identity

    answer = await shop.api.post(f"/v1/webhook-deliveries/{await eventually(closed)}/redeliver")
    assert answer.status_code == 202
    got = await attempts(hook, 2)
    assert got[0]["body"] == got[1]["body"]


async def test_a_callback_url_gets_its_messages_events_signed_with_the_default_secret(
    stack: Stack, shop: Shop, number: Number
) -> None:
    owner = {"email": stack.env["SEMA_OWNER_EMAIL"], "password": stack.env["SEMA_OWNER_PASSWORD"]}
    login = await shop.api.post("/v1/auth/login", owner)
    bearer = {"authorization": f"Bearer {login.json()['access_token']}"}
    default = await shop.api.http.get("/v1/webhooks/default-secret", headers=bearer)
    assert default.status_code == 200, default.text
    account = stack.env["SEMA_ACCOUNT_ID"]
    name = f"callback-{accepted_suffix(account)}"
    hook = Hook("", name, [default.json()["secret"]], shop.sandbox)
    async with Client.open(stack.env["SEMA_API_URL"], stack.env["SEMA_API_KEY"], account) as demo:
        accepted = await demo.send(number(), "Call me back", callback_url=shop.sandbox.hook_url(name))
        await hook.gets("message.sent", accepted["id"])
        await hook.gets("message.delivered", accepted["id"])


def accepted_suffix(account: str) -> str:
    return account.rpartition("-")[2]


async def test_a_slow_receiver_delays_nobody_else(shop: Shop, number: Number) -> None:
    slow, quick = await shop.hook(["message.delivered"]), await shop.hook(["message.delivered"])
    await shop.sandbox.answer_hook(slow.name, 200, latency_ms=5_000)
    for n in range(20):
        await shop.api.send(number(), f"Slow one {n}")
    last = await shop.api.send(number(), "The last one")
    await quick.gets("message.delivered", last["id"], seconds=4.0)
    await shop.sandbox.answer_hook(slow.name, 200)
