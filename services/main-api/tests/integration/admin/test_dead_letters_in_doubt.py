"""Letters whose message has a past: a doubt, a wait for its route, a neighbour that cannot be told."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from sema_common.messages.store.accepting import NewMessage
from sema_common.messages.store.attempts import claim
from sema_common.messages.store.outcomes import Waiting, record_waiting
from sema_common.platform.bus import Bus
from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_common.wire.sms import SmsJobs
from sema_main_api.admin.dead_letters import loops
from sema_main_api.admin.dead_letters.telling import Telling
from tests.kit import seeds
from tests.kit.letters import Office, Queue

Staff = Callable[..., Awaitable[dict[str, str]]]
Listen = Callable[[str], AbstractAsyncContextManager[Queue]]
BONDS: dict[str, Any] = {"only_via": "celcom", "not_via": ["africastalking"]}


def path(letter: UUID, action: str = "") -> str:
    return f"/v1/admin/dlq/sms.normal/messages/{letter}{action}"


@pytest.fixture
async def admin(staff: Staff) -> dict[str, str]:
    return await staff()


async def in_doubt(office: Office) -> tuple[NewMessage, dict[str, Any]]:
    """A message whose first attempt was left in doubt at celcom, and the job that sends it there again."""
    message = await office.accept()
    async with office.owner.transaction() as tx:
        await claim(tx, [seeds.claim_of(message, aggregator="celcom")], now())
    await office.owner.execute(
        "UPDATE orch.submit_attempts SET state = 'settled', due_at = NULL WHERE message_id = $1",
        message.message_id,
    )
    return message, message.job(message.enqueued_at).model_dump(mode="json") | {"attempt": 2} | BONDS


@pytest.mark.parametrize(
    ("field", "value"),
    [("only_via", None), ("only_via", "africastalking"), ("not_via", []), ("not_via", ["celcom"])],
)
async def test_a_correction_cannot_free_a_resend_to_go_another_way(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str], field: str, value: object
) -> None:
    _, job = await in_doubt(office)
    letter = await office.keep("sms.normal", SmsJobs.model_validate({"jobs": [job]}))
    body = {"payload": {"jobs": [job | {field: value}]}}
    answer = await client.post(path(letter, "/republish"), headers=admin, json=body)
    assert [(e["field"], e["code"]) for e in answer.json()["errors"]] == [
        (f"payload.jobs.0.{field}", "immutable")
    ]
    assert (await office.row(letter))["state"] == "open"


async def test_a_correction_that_leaves_a_resend_where_it_must_go_is_sent(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str], listen: Listen
) -> None:
    message, job = await in_doubt(office)
    letter = await office.keep("sms.normal", SmsJobs.model_validate({"jobs": [job]}), version=9)
    async with listen("sms.normal") as queue:
        answer = await client.post(
            path(letter, "/republish"), headers=admin, json={"payload": {"jobs": [job]}}
        )
        assert answer.status_code == 200, answer.text
        async with asyncio.timeout(20):
            while not queue.messages:  # noqa: ASYNC110 - what is waited for has no event to await
                await asyncio.sleep(0.02)
    [sent] = queue.messages[0].jobs
    assert (sent.message_id, sent.only_via, sent.not_via) == (
        message.message_id,
        "celcom",
        ("africastalking",),
    )


async def test_a_doubt_binds_its_resend_even_where_the_letter_cannot_be_read(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str]
) -> None:
    _, job = await in_doubt(office)
    letter = await office.keep("sms.normal", b"rubbish")
    url = path(letter, "/republish")
    free = await client.post(
        url, headers=admin, json={"payload": {"jobs": [job | {"only_via": None, "not_via": []}]}}
    )
    assert [error["field"] for error in free.json()["errors"]] == ["payload.jobs.0.only_via"]
    bound = await client.post(url, headers=admin, json={"payload": {"jobs": [job | {"not_via": []}]}})
    assert bound.status_code == 200, bound.text


@pytest.mark.parametrize("readable", [True, False])
async def test_a_discarded_job_that_waited_for_its_route_ends_and_is_refunded(
    client: httpx.AsyncClient, office: Office, admin: dict[str, str], readable: bool
) -> None:
    message = await office.accept(credit="3")
    at = now()
    async with office.owner.transaction() as tx:
        wait = Waiting(
            message.message_id, 1, message.tenant_id, "normal", "celcom", {}, at, at + timedelta(minutes=5)
        )
        await record_waiting(tx, [wait])
    unreadable = b'{"jobs": [{"message_id": "%s"}]}' % str(message.message_id).encode()
    letter = (
        await office.dead_job(message) if readable else await office.keep("sms.normal", unreadable, version=9)
    )
    shown = (await client.get(path(letter), headers=admin)).json()
    assert [part["does"] for part in shown["discard"]] == ["process"]
    assert (await client.post(path(letter, "/discard"), headers=admin)).status_code == 200
    assert (await office.message(message))["status"] == "failed"
    assert await office.balance(message.account_id) == Decimal("3")
    async with office.owner.transaction() as tx:
        assert await claim(tx, [seeds.claim_of(message)], now()) == set()


async def test_a_letter_that_cannot_be_told_does_not_have_its_neighbours_told_for_ever(
    client: httpx.AsyncClient,
    office: Office,
    admin: dict[str, str],
    listen: Listen,
    bus: Bus,
    pipeline: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bad, good = [await office.dead_job(await office.accept()) for _ in range(2)]
    for letter in (bad, good):
        assert (await client.post(path(letter, "/republish"), headers=admin)).status_code == 200
    await office.owner.execute(
        "UPDATE core.dead_letters SET told_at = NULL, decided_at = decided_at - interval '1 minute'"
    )
    body = (await office.row(bad))["body"]
    publish = Bus.publish_raw

    async def choke(self: Bus, queue: str, raw: bytes, **kwargs: Any) -> None:
        if raw == body:
            raise KeyError("a bug")
        await publish(self, queue, raw, **kwargs)

    monkeypatch.setattr(Bus, "publish_raw", choke)
    with pytest.raises(KeyError):
        await loops.Loops(pipeline, Telling(pipeline, bus)).tell()
    assert (await office.row(bad))["told_at"] is None
    assert (await office.row(good))["told_at"] is not None
