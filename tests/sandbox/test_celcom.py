"""The simulated Celcom speaks the real one's wire format: Sema's own adapter and plain JSON both find it so."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from deploy.sandbox.app import CELCOM as CREDENTIALS
from sema_aggregators import Celcom, Outcome, PollState
from tests.kit.serving import eventually
from tests.sandbox.conftest import Stand

pytestmark = pytest.mark.parametrize("stand", ["celcom"], indirect=True)

CELCOM = Celcom()
ORDINARY = "+254712345678"


async def test_the_quirks_of_the_real_one(stand: Stand) -> None:
    bulk = json.loads(stand.submit(ORDINARY, "+254731234567").body)
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
        "apikey": CREDENTIALS.secret,
        "partnerID": CREDENTIALS.user,
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
    assert balance.json() == {"response-code": 200, "credit": "100000.00", "partner-id": CREDENTIALS.user}


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
    bulk = json.loads(stand.submit(ORDINARY).body)
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
    bulk = json.loads(stand.submit(ORDINARY).body)
    bulk = {"count": 21, "smslist": bulk["smslist"] * 21}
    assert (await stand.client.post("/api/services/sendbulk/", json=bulk)).json()["response-code"] == 1012


async def test_unknown_ids_are_not_found_when_asked_for(stand: Stand) -> None:
    answer = await stand.call(CELCOM.poll(CREDENTIALS, "12"))
    assert CELCOM.read_poll(answer, "12", datetime.now(UTC)).state is PollState.UNKNOWN_ID


async def test_a_text_of_its_own_for_each_and_the_callers_id(stand: Stand) -> None:
    bulk = json.loads(stand.submit(ORDINARY, "+254731234567").body)
    bulk["smslist"][1] |= {"message": "Jambo", "clientsmsid": 77}
    await stand.client.post("/api/services/sendbulk/", json=bulk)
    seen = [(entry["client_id"], entry["to"], entry["text"]) for entry in await stand.received()]
    assert seen == [(1, ORDINARY, "Habari €"), (77, "+254731234567", "Jambo")]
    await eventually(lambda: len(stand.receiver.bodies) == 2)
    assert set(json.loads(stand.receiver.bodies[0])) == {"description", "messageid", "timeTaken", "timestamp"}


@pytest.mark.parametrize(
    ("mode", "outcome"),
    [
        ("ok", Outcome.ACCEPTED),
        ("refuse", Outcome.REFUSED),
        ("low_credit", Outcome.ACCOUNT),
        ("http_500", Outcome.IN_DOUBT),
    ],
)
async def test_sendsms_acts_by_the_mode_as_well(stand: Stand, mode: str, outcome: Outcome) -> None:
    await stand.control(mode=mode)
    assert [one.outcome for one in await stand.send(ORDINARY, adapter=Celcom(bulk=False))] == [outcome]


async def test_what_was_not_pushed_can_be_asked_for_once_it_is_due(stand: Stand) -> None:
    async def ask(aggregator_id: str | None) -> PollState:
        assert aggregator_id is not None
        answer = await stand.call(CELCOM.poll(CREDENTIALS, aggregator_id))
        poll = CELCOM.read_poll(answer, aggregator_id, datetime.now(UTC))
        assert poll.report is None or poll.report.status == "delivered"
        return poll.state

    for dlr in ({"drop_rate": 1}, {"drop_rate": 0, "enabled": False}):
        await stand.control(dlr=dlr)
        (outcome,) = await stand.send(ORDINARY)
        assert await ask(outcome.aggregator_id) is PollState.READY
    await stand.control(dlr={"enabled": True, "delay_ms": 60_000})
    (outcome,) = await stand.send(ORDINARY)
    assert await ask(outcome.aggregator_id) is PollState.PENDING
