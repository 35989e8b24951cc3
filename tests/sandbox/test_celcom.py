"""The simulated Celcom speaks the real one's wire format: Sema's own adapter and plain JSON both find it so."""

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest

from deploy.sandbox.app import Sandbox
from deploy.sandbox.celcom import DEFAULT_API_KEY, DEFAULT_PARTNER_ID
from sema_aggregators import (
    Celcom,
    Credentials,
    HttpAnswer,
    HttpCall,
    Outcome,
    PollState,
    RawReport,
    Submit,
    SubmitOutcome,
)
from tests.sandbox.conftest import Receiver, Stand, eventually, serving

CELCOM = Celcom()
CREDENTIALS = Credentials(DEFAULT_PARTNER_ID, DEFAULT_API_KEY)
ORDINARY = "+254712345678"


def submits(*numbers: str) -> list[Submit]:
    return [Submit(at, f"m-{at}", to, "SEMALINK", f"Habari {at}") for at, to in enumerate(numbers, 1)]


async def call(client: httpx.AsyncClient, made: HttpCall) -> HttpAnswer:
    answer = await client.request(made.method, made.path, headers=dict(made.headers), content=made.body)
    return HttpAnswer(answer.status_code, answer.headers, answer.content)


async def send(stand: Stand, *numbers: str, adapter: Celcom = CELCOM) -> list[SubmitOutcome]:
    bulk = submits(*numbers)
    return adapter.read_submit(await call(stand.client, adapter.submit(CREDENTIALS, bulk)), bulk)


def reported(receiver: Receiver) -> list[tuple[str, str | None]]:
    reports = [
        CELCOM.read_reports(RawReport("application/json", "", body, datetime.now(UTC) + timedelta(minutes=1)))
        for body in receiver.bodies
    ]
    return [(report.aggregator_id, report.status) for (report,) in reports]


async def test_a_bulk_is_accepted_witnessed_and_reported(stand: Stand) -> None:
    numbers = [f"+2547123456{at:02d}" for at in range(20)]
    outcomes = await send(stand, *numbers)
    assert [one.outcome for one in outcomes] == [Outcome.ACCEPTED] * 20
    entries = await stand.received()
    assert [set(entry) for entry in entries] == [{"seq", "client_id", "to", "text", "at"}] * 20
    assert [(e["seq"], e["client_id"], e["to"], e["text"]) for e in entries] == [
        (at, at, number, f"Habari {at}") for at, number in enumerate(numbers, 1)
    ]
    await eventually(lambda: len(stand.receiver.bodies) == 20)
    assert sorted(reported(stand.receiver)) == sorted(
        (one.aggregator_id or "", "delivered") for one in outcomes
    )
    assert set(json.loads(stand.receiver.bodies[0])) == {"description", "messageid", "timeTaken", "timestamp"}

    async def settled() -> bool:
        stats = await stand.stats()
        return (stats["submitted"], stats["dlr_sent"], stats["dlr_acked"], stats["dlr_pending"]) == (
            20,
            20,
            20,
            0,
        )

    await eventually(settled)


async def test_the_quirks_of_the_real_one(stand: Stand) -> None:
    bulk = json.loads(CELCOM.submit(CREDENTIALS, submits("+254712345678", "+254731234567")).body)
    bulk["smslist"][1]["mobile"] = "not a number"
    good, bad = (await stand.client.post("/api/services/sendbulk/", json=bulk)).json()["responses"]
    assert (good["respose-code"], good["clientsmsid"], good["networkid"]) == (200, "1", "1")
    assert isinstance(good["messageid"], int)
    assert (bad["respose-code"], bad["mobile"], bad["clientsmsid"], bad["shortcode"]) == (
        1003,
        "not a number",
        "2",
        None,
    )
    assert "messageid" not in bad
    single = {
        "apikey": DEFAULT_API_KEY,
        "partnerID": DEFAULT_PARTNER_ID,
        "message": "x",
        "shortcode": "SEMA",
        "mobile": "0712345678,254731234567",
    }
    first, second = (await stand.client.post("/api/services/sendsms/", json=single)).json()["responses"]
    assert (first["mobile"], second["networkid"]) == (254712345678, "2")
    assert "clientsmsid" not in first
    by_get = await stand.client.get("/api/services/sendsms/", params=single | {"mobile": "254712345678"})
    assert by_get.json()["responses"][0]["respose-code"] == 200
    balance = await stand.client.post("/api/services/getbalance/", json=single)
    assert balance.json() == {"response-code": 200, "credit": "100000.00", "partner-id": DEFAULT_PARTNER_ID}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"apikey": "wrong"}, 1006),
        ({"partnerID": "77"}, 1006),
        ({"partnerID": ""}, 4091),
        ({"apikey": None}, 4092),
    ],
)
async def test_wrong_credentials_are_refused_with_http_200(
    stand: Stand, change: dict[str, Any], code: int
) -> None:
    bulk = json.loads(CELCOM.submit(CREDENTIALS, submits(ORDINARY)).body)
    bulk["smslist"][0] |= change
    answer = await stand.client.post("/api/services/sendbulk/", json=bulk)
    assert (answer.status_code, answer.json()["response-code"]) == (200, code)
    assert await stand.received() == []


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"count":1}', b'{"count":2,"smslist":[{}]}', b'{"count":1,"smslist":[1]}']
)
async def test_what_is_no_bulk_is_refused(stand: Stand, body: bytes) -> None:
    answer = await stand.client.post("/api/services/sendbulk/", content=body)
    assert answer.json()["response-code"] == 1010


async def test_more_than_twenty_are_too_many(stand: Stand) -> None:
    bulk = json.loads(CELCOM.submit(CREDENTIALS, submits(ORDINARY)).body)
    bulk = {"count": 21, "smslist": bulk["smslist"] * 21}
    assert (await stand.client.post("/api/services/sendbulk/", json=bulk)).json()["response-code"] == 1012


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
    assert [one.outcome for one in await send(stand, ORDINARY, ORDINARY)] == [outcome] * 2
    assert len(await stand.received()) == accepted
    assert [one.outcome for one in await send(stand, ORDINARY, adapter=Celcom(bulk=False))] == [outcome]


async def test_garbage_is_accepted_and_leaves_the_sender_in_doubt(stand: Stand) -> None:
    await stand.control(mode="garbage")
    for _ in range(6):
        assert {one.outcome for one in await send(stand, ORDINARY, ORDINARY)} == {Outcome.IN_DOUBT}
    assert len(await stand.received()) == 12
    await eventually(lambda: len(stand.receiver.bodies) == 12)


async def test_timeout_after_accept_never_answers(stand: Stand) -> None:
    await stand.control(mode="timeout_after_accept")
    made = CELCOM.submit(CREDENTIALS, submits(ORDINARY))
    with pytest.raises(httpx.ReadTimeout):
        await stand.client.post(made.path, content=made.body, timeout=0.1)
    assert len(await stand.received()) == 1
    await eventually(lambda: len(stand.receiver.bodies) == 1)


async def test_reset_after_accept_cuts_the_connection(stand: Stand) -> None:
    await stand.control(mode="reset_after_accept")
    made = CELCOM.submit(CREDENTIALS, submits(ORDINARY))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await stand.client.post(made.path, content=made.body)
    assert len(await stand.received()) == 1
    await stand.control(mode="ok")
    assert [one.outcome for one in await send(stand, ORDINARY)] == [Outcome.ACCEPTED]


async def test_errors_come_at_their_rate_and_are_not_accepted(stand: Stand) -> None:
    await stand.control(error_rate=1)
    assert {one.outcome for one in await send(stand, *[ORDINARY] * 20)} == {Outcome.NOT_SENT}
    await stand.control(error_rate=0.5)
    outcomes = [one.outcome for _ in range(10) for one in await send(stand, *[ORDINARY] * 20)]
    assert 50 < outcomes.count(Outcome.NOT_SENT) < 150
    assert len(await stand.received()) == outcomes.count(Outcome.ACCEPTED)


async def test_latency_is_a_wait_not_a_queue(stand: Stand) -> None:
    await stand.control(latency_ms=200)
    started = time.monotonic()
    await asyncio.gather(*[send(stand, ORDINARY) for _ in range(10)])
    assert 0.2 <= time.monotonic() - started < 1.5


async def test_reports_are_copied_dropped_and_disabled_as_scripted(stand: Stand) -> None:
    await stand.control(dlr={"duplicate": 3})
    (outcome,) = await send(stand, ORDINARY)
    await eventually(lambda: len(stand.receiver.bodies) == 4)
    assert reported(stand.receiver) == [(outcome.aggregator_id, "delivered")] * 4
    await stand.control(dlr={"duplicate": True, "drop_rate": 1})
    (dropped,) = await send(stand, ORDINARY)
    await stand.control(dlr={"drop_rate": 0, "enabled": False})
    (disabled,) = await send(stand, ORDINARY)
    await stand.control(dlr={"enabled": True, "duplicate": False})
    (last,) = await send(stand, ORDINARY)
    await eventually(lambda: len(stand.receiver.bodies) == 5)
    assert reported(stand.receiver)[4] == (last.aggregator_id, "delivered")
    # What was not pushed can be asked for.
    for outcome in (dropped, disabled):
        assert outcome.aggregator_id is not None
        answer = await call(stand.client, CELCOM.poll(CREDENTIALS, outcome.aggregator_id))
        poll = CELCOM.read_poll(answer, outcome.aggregator_id, datetime.now(UTC))
        assert poll.state is PollState.READY
        assert poll.report is not None
        assert poll.report.status == "delivered"


async def test_shuffled_reports_include_an_intermediate_one(stand: Stand) -> None:
    await stand.control(dlr={"shuffle": True})
    outcomes = await send(stand, *[ORDINARY] * 20)
    await eventually(lambda: len(stand.receiver.bodies) == 40)
    both = [(one.aggregator_id or "", status) for one in outcomes for status in ("delivered", "sent")]
    assert sorted(reported(stand.receiver), key=str) == sorted(both, key=str)


async def test_a_report_may_come_before_the_answer(stand: Stand) -> None:
    await stand.control(dlr={"before_response": True})
    (outcome,) = await send(stand, ORDINARY)
    assert reported(stand.receiver) == [(outcome.aggregator_id, "delivered")]


async def test_reports_wait_for_their_delay(stand: Stand) -> None:
    await stand.control(dlr={"delay_ms": 300})
    started = time.monotonic()
    (outcome,) = await send(stand, ORDINARY)
    assert (await stand.stats())["dlr_pending"] == 1
    assert outcome.aggregator_id is not None
    answer = await call(stand.client, CELCOM.poll(CREDENTIALS, outcome.aggregator_id))
    assert CELCOM.read_poll(answer, outcome.aggregator_id, datetime.now(UTC)).state is PollState.PENDING
    await eventually(lambda: len(stand.receiver.bodies) == 1)
    assert time.monotonic() - started >= 0.3


async def test_a_receiver_that_answers_5xx_is_asked_again(stand: Stand) -> None:
    stand.receiver.statuses = [503, 500]
    await send(stand, ORDINARY)
    await eventually(lambda: len(stand.receiver.bodies) == 1)
    assert stand.receiver.refused == 2
    stats = await stand.stats()
    assert (stats["dlr_sent"], stats["dlr_retries"]) == (1, 2)


async def test_a_receiver_that_answers_4xx_is_not(stand: Stand) -> None:
    stand.receiver.statuses = [404]
    await send(stand, ORDINARY)

    async def given_up() -> bool:
        stats = await stand.stats()
        return (stats["dlr_refused"], stats["dlr_pending"]) == (1, 0)

    await eventually(given_up)
    assert stand.receiver.bodies == []


async def test_reports_outlive_a_receiver_that_is_away() -> None:
    receiver = Receiver()
    async with serving(receiver, "off") as reports:
        port = int(reports.rsplit(":", 1)[1])
    async with (
        serving(Sandbox(f"{reports}/celcom/token")) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        stand = Stand(client, receiver)
        await send(stand, ORDINARY, ORDINARY)
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
        (read,) = await send(stand, "+25471" + suffix)
        assert read.outcome is outcome
        expected += [(read.aggregator_id or "", status) for status in statuses]
        # The reports of one message come in the order of its script, and no others.
        await eventually(partial(stand.receiver.holds, len(expected)))
        assert reported(stand.receiver) == expected


async def test_magic_not_sent_twice_is_accepted_at_the_third_attempt(stand: Stand) -> None:
    outcomes = [(await send(stand, "+254719990006"))[0].outcome for _ in range(4)]
    assert outcomes == [Outcome.NOT_SENT, Outcome.NOT_SENT, Outcome.ACCEPTED, Outcome.NOT_SENT]


async def test_magic_timeout_is_accepted_and_never_answered(stand: Stand) -> None:
    made = CELCOM.submit(CREDENTIALS, submits("+254719990005"))
    with pytest.raises(httpx.ReadTimeout):
        await stand.client.post(made.path, content=made.body, timeout=0.1)
    assert [entry["to"] for entry in await stand.received()] == ["+254719990005"]


async def test_magic_early_report_comes_before_the_answer(stand: Stand) -> None:
    (outcome,) = await send(stand, "+254719990007")
    assert reported(stand.receiver) == [(outcome.aggregator_id, "delivered")]


async def test_unknown_ids_are_not_found_when_asked_for(stand: Stand) -> None:
    answer = await call(stand.client, CELCOM.poll(CREDENTIALS, "12"))
    assert CELCOM.read_poll(answer, "12", datetime.now(UTC)).state is PollState.UNKNOWN_ID
