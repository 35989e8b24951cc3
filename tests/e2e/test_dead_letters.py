"""Poison on each queue, from the room that sets it aside to the member of staff who mends it or gives it up."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
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


@dataclass
class Poisoned:
    """A message whose one job is unreadable: the type that its letter goes by, and the job as it should be."""

    message_id: str
    mark: str
    job: dict[str, Any]


async def poisoned(stack: Stack, shop: Shop, bus: Bus, *numbers: str) -> list[Poisoned]:
    """A message to each of these; nobody has read their jobs yet."""
    await stack.stop("sms-worker")
    try:
        jobs: dict[str, dict[str, Any]] = {}

        async def take(delivery: Delivery[SmsJobs]) -> None:
            jobs.update({str(job.message_id): job.model_dump(mode="json") for job in delivery.message.jobs})

        async with bus.consume(SMS_NORMAL, [SmsJobs], take, prefetch=1):
            ids = [(await shop.api.send(to, "Your parcel is here."))["id"] for to in numbers]

            async def taken() -> None:
                assert set(ids) <= jobs.keys()

            await eventually(taken)
        found = [Poisoned(id_, f"odd.{uuid4().hex}", jobs[id_]) for id_ in ids]
        for each in found:
            body = b'{"jobs": [{"message_id": "%s"}]}' % each.message_id.encode()
            await bus.publish_raw(SMS_NORMAL, body, type=each.mark, version=1, event_id=uuid4())
    finally:
        await stack.start("sms-worker")
    return found


async def test_a_poisoned_job_is_mended_and_delivered_or_given_up_with_one_refund(
    stack: Stack, shop: Shop, staff: httpx.AsyncClient, bus: Bus, number: Number
) -> None:
    mended, given_up = await poisoned(stack, shop, bus, number(), number())
    await mend(staff, mended)
    await give_up(staff, given_up)
    await shop.api.reaches(mended.message_id, "delivered")
    assert [kind for kind, _ in await shop.ledger(mended.message_id)] == ["charge"]
    message = await shop.api.reaches(given_up.message_id, "failed")
    assert message["error"]["code"] == "dead_lettered"
    movements = await shop.ledger(given_up.message_id)
    assert [kind for kind, _ in movements] == ["charge", "refund"]
    assert sum(Decimal(amount) for _, amount in movements) == 0


async def mend(staff: httpx.AsyncClient, one: Poisoned) -> None:
    """Its letter with the job as it should be; another recipient is refused."""
    letter = await kept(staff, SMS_NORMAL, one.mark)
    url = f"/v1/admin/dlq/{SMS_NORMAL}/messages/{letter['id']}/republish"
    forged = {"payload": {"jobs": [one.job | {"to": "+254700000000"}]}, "type": "sms.jobs"}
    refused = await staff.post(url, json=forged)
    assert [error["field"] for error in refused.json()["errors"]] == ["payload.jobs.0.to"]
    answer = await staff.post(url, json={"payload": {"jobs": [one.job]}, "type": "sms.jobs"})
    assert answer.status_code == 200, answer.text


async def give_up(staff: httpx.AsyncClient, one: Poisoned) -> None:
    """Discarded, and once more."""
    letter = await kept(staff, SMS_NORMAL, one.mark)
    for _ in range(2):
        answer = await staff.post(f"/v1/admin/dlq/{SMS_NORMAL}/messages/{letter['id']}/discard")
        assert answer.json()["state"] == "discarded"
