"""Reports that stay away: asked for, and in the end given up. Messages are aged by hand, as no test waits 72 h."""

from collections.abc import Callable

import pytest

from tests.e2e.conftest import Shop

pytestmark = pytest.mark.stack


async def age(shop: Shop, message_id: str, seconds: float) -> None:
    """Let it have been sent so long ago."""
    await shop.db.execute(
        "UPDATE orch.sms_messages SET sent_at = now() - make_interval(secs => $2) WHERE message_id = $1::uuid",
        message_id,
        seconds,
    )


async def test_what_celcom_does_not_push_is_asked_for(shop: Shop, number: Callable[[], str]) -> None:
    hook = await shop.hook()
    async with shop.sandbox.scripted(dlr={"enabled": False}):
        message = await shop.api.send(number(), "is anybody there?")
        await shop.api.reaches(message["id"], "sent")
        await age(shop, message["id"], 660)
        done = await shop.api.reaches(message["id"], "delivered", seconds=40)
    assert done["error"] is None
    event = await hook.gets("message.delivered", message["id"])
    assert event["data"]["delivered_at"] is not None


@pytest.mark.parametrize("refund_undelivered", [True, False])
async def test_a_message_that_nobody_reports_expires_and_the_policy_decides_on_the_refund(
    shop: Shop, magic: Callable[[int], str], refund_undelivered: bool
) -> None:
    await shop.db.execute(
        "UPDATE core.accounts SET refund_undelivered = $2 WHERE id = $1",
        shop.api.account_id,
        refund_undelivered,
    )
    hook = await shop.hook()
    message = await shop.api.send(magic(9), "never reported")
    await shop.api.reaches(message["id"], "sent")
    await age(shop, message["id"], 73 * 3600)
    expired = await shop.api.reaches(message["id"], "expired", seconds=40)
    assert expired["error"] == {"code": "no_report", "detail": "No report came within 72 hours."}
    await hook.gets("message.expired", message["id"])
    kinds = [kind for kind, _ in await shop.ledger(message["id"])]
    assert kinds == (["charge", "refund"] if refund_undelivered else ["charge"])
