"""What a script does to those who call, whichever aggregator is simulated; our own adapters are the callers."""

import asyncio
import time
from functools import partial

import httpx
import pytest

from deploy.sandbox.app import Sandbox
from sema_aggregators import Outcome
from tests.kit.serving import eventually, serving
from tests.sandbox.conftest import SIMULATED, Receiver, Stand

TWENTY = [f"+2547123456{at:02d}" for at in range(20)]


async def test_a_bulk_is_accepted_witnessed_and_reported(stand: Stand) -> None:
    outcomes = await stand.send(*TWENTY)
    assert [one.outcome for one in outcomes] == [Outcome.ACCEPTED] * 20
    entries = await stand.received()
    assert [set(entry) for entry in entries] == [{"seq", "client_id", "to", "text", "at"}] * 20
    assert [(e["seq"], e["to"], e["text"]) for e in entries] == [
        (at, number, "Habari €") for at, number in enumerate(TWENTY, 1)
    ]
    await eventually(lambda: len(stand.receiver.bodies) == 20)
    assert sorted(stand.reported()) == sorted((one.aggregator_id or "", "delivered") for one in outcomes)

    async def settled() -> bool:
        stats = await stand.stats()
        return (stats["submitted"], stats["dlr_sent"], stats["dlr_acked"], stats["dlr_pending"]) == (
            20,
            20,
            20,
            0,
        )

    await eventually(settled)


@pytest.mark.parametrize(
    ("mode", "outcome", "accepted"),
    [
        ("ok", Outcome.ACCEPTED, 2),
        ("refuse", Outcome.REFUSED, 0),
        ("low_credit", Outcome.ACCOUNT, 0),
        ("http_500", Outcome.IN_DOUBT, 0),
    ],
)
async def test_modes_that_answer(stand: Stand, mode: str, outcome: Outcome, accepted: int) -> None:
    await stand.control(mode=mode)
    assert [one.outcome for one in await stand.send(*TWENTY[:2])] == [outcome] * 2
    assert len(await stand.received()) == accepted


async def test_garbage_is_accepted_and_leaves_the_sender_in_doubt(stand: Stand) -> None:
    await stand.control(mode="garbage")
    for _ in range(6):
        assert {one.outcome for one in await stand.send(*TWENTY[:2])} == {Outcome.IN_DOUBT}
    assert len(await stand.received()) == 12
    await eventually(lambda: len(stand.receiver.bodies) == 12)


async def test_the_wrong_id_of_a_lone_message_looks_like_any_other(stand: Stand) -> None:
    """The one answer of `garbage` that no reader can see through: its report matches nobody."""
    await stand.control(mode="garbage")
    outcomes = [(await stand.send(TWENTY[0]))[0] for _ in range(6)]
    assert [one.outcome for one in outcomes] == [Outcome.IN_DOUBT] * 5 + [Outcome.ACCEPTED]
    await eventually(lambda: len(stand.receiver.bodies) == 6)
    assert outcomes[-1].aggregator_id not in {aggregator_id for aggregator_id, _ in stand.reported()}


async def test_timeout_after_accept_never_answers(stand: Stand) -> None:
    await stand.control(mode="timeout_after_accept")
    made = stand.submit(TWENTY[0])
    with pytest.raises(httpx.ReadTimeout):
        await stand.client.post(made.path, headers=made.headers, content=made.body, timeout=0.1)
    assert len(await stand.received()) == 1
    await eventually(lambda: len(stand.receiver.bodies) == 1)


async def test_reset_after_accept_cuts_the_connection(stand: Stand) -> None:
    await stand.control(mode="reset_after_accept")
    made = stand.submit(TWENTY[0])
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await stand.client.post(made.path, headers=made.headers, content=made.body)
    assert len(await stand.received()) == 1
    await stand.control(mode="ok")
    assert [one.outcome for one in await stand.send(TWENTY[0])] == [Outcome.ACCEPTED]


async def test_one_script_moves_nobody_else(stand: Stand) -> None:
    for name in SIMULATED:
        if name != stand.adapter.name:
            await stand.client.put(f"/_control/{name}", json={"mode": "refuse"})
    assert [one.outcome for one in await stand.send(TWENTY[0])] == [Outcome.ACCEPTED]


async def test_errors_come_at_their_rate_and_are_not_accepted(stand: Stand) -> None:
    await stand.control(error_rate=1)
    assert {one.outcome for one in await stand.send(*TWENTY)} == {Outcome.NOT_SENT}
    await stand.control(error_rate=0.5)
    outcomes = [one.outcome for _ in range(10) for one in await stand.send(*TWENTY)]
    assert 50 < outcomes.count(Outcome.NOT_SENT) < 150
    assert len(await stand.received()) == outcomes.count(Outcome.ACCEPTED)


async def test_latency_is_a_wait_not_a_queue(stand: Stand) -> None:
    await stand.control(latency_ms=200)
    started = time.monotonic()
    await asyncio.gather(*[stand.send(TWENTY[0]) for _ in range(10)])
    assert 0.2 <= time.monotonic() - started < 1.5


async def test_reports_are_copied_dropped_and_disabled_as_scripted(stand: Stand) -> None:
    await stand.control(dlr={"duplicate": 3})
    (outcome,) = await stand.send(TWENTY[0])
    await eventually(lambda: len(stand.receiver.bodies) == 4)
    assert stand.reported() == [(outcome.aggregator_id, "delivered")] * 4
    await stand.control(dlr={"duplicate": True, "drop_rate": 1})
    await stand.send(TWENTY[0])
    await stand.control(dlr={"drop_rate": 0, "enabled": False})
    await stand.send(TWENTY[0])
    await stand.control(dlr={"enabled": True, "duplicate": False})
    (last,) = await stand.send(TWENTY[0])
    await eventually(lambda: len(stand.receiver.bodies) == 5)
    assert stand.reported()[4] == (last.aggregator_id, "delivered")


async def test_shuffled_reports_include_an_intermediate_one(stand: Stand) -> None:
    await stand.control(dlr={"shuffle": True})
    outcomes = await stand.send(*TWENTY)
    await eventually(lambda: len(stand.receiver.bodies) == 40)
    both = [(one.aggregator_id or "", status) for one in outcomes for status in ("delivered", "sent")]
    assert sorted(stand.reported(), key=str) == sorted(both, key=str)


async def test_a_report_may_come_before_the_answer(stand: Stand) -> None:
    await stand.control(dlr={"before_response": True})
    (outcome,) = await stand.send(TWENTY[0])
    assert stand.reported() == [(outcome.aggregator_id, "delivered")]


async def test_reports_wait_for_their_delay(stand: Stand) -> None:
    await stand.control(dlr={"delay_ms": 300})
    started = time.monotonic()
    await stand.send(TWENTY[0])
    assert (await stand.stats())["dlr_pending"] == 1
    await eventually(lambda: len(stand.receiver.bodies) == 1)
    assert time.monotonic() - started >= 0.3


async def test_a_receiver_that_answers_5xx_is_asked_again(stand: Stand) -> None:
    stand.receiver.statuses = [503, 500]
    await stand.send(TWENTY[0])
    await eventually(lambda: len(stand.receiver.bodies) == 1)
    assert stand.receiver.refused == 2
    stats = await stand.stats()
    assert (stats["dlr_sent"], stats["dlr_retries"]) == (1, 2)


async def test_a_receiver_that_answers_4xx_is_not(stand: Stand) -> None:
    stand.receiver.statuses = [404]
    await stand.send(TWENTY[0])

    async def given_up() -> bool:
        stats = await stand.stats()
        return (stats["dlr_refused"], stats["dlr_pending"]) == (1, 0)

    await eventually(given_up)
    assert stand.receiver.bodies == []


@pytest.mark.parametrize("name", SIMULATED)
async def test_reports_outlive_a_receiver_that_is_away(name: str) -> None:
    receiver = Receiver(name)
    async with serving(receiver, "off") as reports:
        port = int(reports.rsplit(":", 1)[1])
    async with (
        serving(Sandbox(f"{reports}/{{aggregator}}/token")) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        stand = Stand(client, receiver, *SIMULATED[name])
        await stand.send(*TWENTY[:2])
        assert (await stand.stats())["dlr_pending"] == 2
        async with serving(receiver, "off", port):
            await eventually(lambda: len(receiver.bodies) == 2)


MAGIC: dict[str, tuple[Outcome, list[str]]] = {
    "9990001": (Outcome.ACCEPTED, ["delivered"]),
    "9990002": (Outcome.ACCEPTED, ["failed"]),
    "9990003": (Outcome.ACCEPTED, ["expired"]),
    "9990004": (Outcome.REFUSED, []),
    "9990008": (Outcome.ACCEPTED, ["delivered"] * 3),
    "9990009": (Outcome.ACCEPTED, []),
    "9990010": (Outcome.ACCEPTED, ["failed", "delivered"]),
    "9990011": (Outcome.ACCEPTED, ["delivered", "sent"]),
}


@pytest.mark.parametrize("mode", ["ok", "http_500", "refuse", "low_credit", "timeout_after_accept"])
async def test_magic_recipients_act_alone_whatever_the_mode(stand: Stand, mode: str) -> None:
    await stand.control(mode=mode, error_rate=1, dlr={"drop_rate": 1, "duplicate": 5})
    expected: list[tuple[str, str | None]] = []
    for suffix, (outcome, statuses) in MAGIC.items():
        (read,) = await stand.send("+25471" + suffix)
        assert read.outcome is outcome
        expected += [(read.aggregator_id or "", status) for status in statuses]
        # The reports of one message come in the order of its script, and no others.
        await eventually(partial(stand.receiver.holds, len(expected)))
        assert stand.reported() == expected


async def test_magic_not_sent_twice_is_accepted_at_the_third_attempt(stand: Stand) -> None:
    outcomes = [(await stand.send("+254719990006"))[0].outcome for _ in range(4)]
    assert outcomes == [Outcome.NOT_SENT, Outcome.NOT_SENT, Outcome.ACCEPTED, Outcome.NOT_SENT]


async def test_magic_timeout_is_accepted_and_never_answered(stand: Stand) -> None:
    made = stand.submit("+254719990005")
    with pytest.raises(httpx.ReadTimeout):
        await stand.client.post(made.path, headers=made.headers, content=made.body, timeout=0.1)
    assert [entry["to"] for entry in await stand.received()] == ["+254719990005"]


async def test_magic_early_report_comes_before_the_answer(stand: Stand) -> None:
    (outcome,) = await stand.send("+254719990007")
    assert stand.reported() == [(outcome.aggregator_id, "delivered")]
