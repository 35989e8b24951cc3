"""Poison on each queue, from the room that sets it aside to the member of staff who mends it or gives it up."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from sema_common.platform.bus import Bus, Delivery
from sema_common.wire.queues import QUEUES, SMS_NORMAL
from sema_common.wire.sms import SmsJobs
from tests.e2e.conftest import Shop
from tests.kit.client import eventually
from tests.kit.stack import Stack

Number = Callable[[], str]


@pytest.fixture
async def staff(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """A member of staff, logged in."""
    async with httpx.AsyncClient(base_url=stack.env["SEMA_API_URL"], timeout=30) as client:
        login = {"email": stack.env["SEMA_STAFF_EMAIL"], "password": stack.env["SEMA_STAFF_PASSWORD"]}
        token = (await client.post("/v1/auth/login", json=login)).json()["access_token"]
        client.headers["authorization"] = f"Bearer {token}"
        yield client


@pytest.fixture
async def bus(stack: Stack) -> AsyncIterator[Bus]:
    async with Bus.open(stack.env["AMQP_URL"], name="poison") as bus:
        yield bus


async def kept(staff: httpx.AsyncClient, queue: str, mark: str) -> dict[str, Any]:
    """The open letter of this queue whose type is `mark`, as soon as its room has kept it."""

    async def look() -> dict[str, Any]:
        page = await staff.get(f"/v1/admin/dlq/{queue}/messages", params={"type": mark})
        found: list[dict[str, Any]] = page.json()["data"]
        assert len(found) == 1
        return found[0]

    return await eventually(look)


@pytest.mark.parametrize("queue", QUEUES)
async def test_what_a_room_cannot_read_is_set_aside_at_once_with_its_reason(
    staff: httpx.AsyncClient, bus: Bus, queue: str
) -> None:
    mark = f"odd.{uuid4().hex}"
    await bus.publish_raw(queue, b"{", type=mark, version=1, event_id=uuid4())
    letter = await kept(staff, queue, mark)
    assert letter["reason"].startswith(f"unknown message {mark}")
    assert letter["deliveries"] == 1
    url = f"/v1/admin/dlq/{queue}/messages/{letter['id']}"
    assert (await staff.post(f"{url}/republish")).status_code == 422
    assert (await staff.post(f"{url}/discard")).json()["state"] == "discarded"


async def poisoned(stack: Stack, shop: Shop, bus: Bus, to: str, mark: str) -> tuple[str, dict[str, Any]]:
    """A message whose one job is unreadable; its id and the job as it should be."""
    await stack.stop("sms-worker")
    try:
        jobs: list[dict[str, Any]] = []

        async def take(delivery: Delivery[SmsJobs]) -> None:
            jobs.extend(job.model_dump(mode="json") for job in delivery.message.jobs)

        async with bus.consume(SMS_NORMAL, [SmsJobs], take, prefetch=1):
            message = await shop.api.send(to, "Your parcel is here.")

            async def look() -> dict[str, Any]:
                found = [job for job in jobs if job["message_id"] == message["id"]]
                assert found
                return found[0]

            job = await eventually(look)
        body = b'{"jobs": [{"message_id": "%s"}]}' % message["id"].encode()
        await bus.publish_raw(SMS_NORMAL, body, type=mark, version=1, event_id=uuid4())
    finally:
        await stack.start("sms-worker")
    return message["id"], job


async def test_a_poisoned_job_is_mended_and_its_message_delivered(
    stack: Stack, shop: Shop, staff: httpx.AsyncClient, bus: Bus, number: Number
) -> None:
    mark = f"odd.{uuid4().hex}"
    message_id, job = await poisoned(stack, shop, bus, number(), mark)
    letter = await kept(staff, SMS_NORMAL, mark)
    url = f"/v1/admin/dlq/{SMS_NORMAL}/messages/{letter['id']}/republish"
    forged = {"payload": {"jobs": [job | {"to": "+254700000000"}]}, "type": "sms.jobs"}
    refused = await staff.post(url, json=forged)
    assert [error["field"] for error in refused.json()["errors"]] == ["payload.jobs.0.to"]
    mended = await staff.post(url, json={"payload": {"jobs": [job]}, "type": "sms.jobs"})
    assert mended.status_code == 200, mended.text
    await shop.api.reaches(message_id, "delivered")


async def test_a_discarded_job_ends_its_message_with_one_refund(
    stack: Stack, shop: Shop, staff: httpx.AsyncClient, bus: Bus, number: Number
) -> None:
    before = await shop.balance()
    mark = f"odd.{uuid4().hex}"
    message_id, _ = await poisoned(stack, shop, bus, number(), mark)
    letter = await kept(staff, SMS_NORMAL, mark)
    for _ in range(2):
        answer = await staff.post(f"/v1/admin/dlq/{SMS_NORMAL}/messages/{letter['id']}/discard")
        assert answer.json()["state"] == "discarded"
    message = await shop.api.reaches(message_id, "failed")
    assert message["error"]["code"] == "dead_lettered"
    assert await shop.balance() == before
    assert [kind for kind, _ in await shop.ledger(message_id)] == ["charge", "refund"]
