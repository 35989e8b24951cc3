"""The simulated Africa's Talking speaks the real one's wire format: read here without our own adapter."""

from urllib.parse import parse_qs

import pytest

from deploy.sandbox.app import AFRICASTALKING as CREDENTIALS
from tests.kit.serving import eventually
from tests.sandbox.conftest import Stand

pytestmark = pytest.mark.parametrize("stand", ["africastalking"], indirect=True)

DOOR = "/version1/messaging"
HEADERS = {"apiKey": CREDENTIALS.secret, "accept": "application/json"}
FORM = {"username": CREDENTIALS.user, "to": "+254712345678", "message": "Habari €", "from": "SEMALINK"}


async def test_the_quirks_of_the_real_one(stand: Stand) -> None:
    form = FORM | {"to": "+254712345678, +254731234567,0712345678"}
    answer = await stand.client.post(DOOR, data=form, headers=HEADERS)
    assert answer.status_code == 201
    data = answer.json()["SMSMessageData"]
    assert data["Message"] == "Sent to 2/3 Total Cost: KES 1.6000"
    first, second, wrong = data["Recipients"]
    assert set(first) == {"statusCode", "number", "status", "cost", "messageId"}
    assert (first["statusCode"], first["number"], first["status"]) == (101, "+254712345678", "Success")
    assert first["messageId"].startswith("ATXid_")
    assert first["messageId"] != second["messageId"]
    assert wrong == {
        "statusCode": 403,
        "number": "0712345678",
        "status": "InvalidPhoneNumber",
        "cost": "0",
        "messageId": "None",
    }
    assert [(entry["client_id"], entry["to"]) for entry in await stand.received()] == [
        (None, "+254712345678"),
        (None, "+254731234567"),
    ]


async def test_reports_are_forms_without_a_time(stand: Stand) -> None:
    for to in ("+254712345678", "+254731234567", "+254719990002"):
        await stand.client.post(DOOR, data=FORM | {"to": to}, headers=HEADERS)
        count = len(await stand.received())
        await eventually(lambda count=count: len(stand.receiver.bodies) == count)
    reports = [parse_qs(body.decode(), strict_parsing=True) for body in stand.receiver.bodies]
    assert [(r["status"], r["phoneNumber"], r["networkCode"]) for r in reports] == [
        (["Success"], ["+254712345678"], ["63902"]),
        (["Success"], ["+254731234567"], ["63903"]),
        (["Failed"], ["+254719990002"], ["63902"]),
    ]
    assert set(reports[0]) == {"id", "status", "phoneNumber", "networkCode"}
    assert reports[2]["failureReason"] == ["DeliveryFailure"]


@pytest.mark.parametrize(
    ("headers", "form"),
    [
        ({}, {}),
        ({"apiKey": "wrong"}, {}),
        ({"apiKey": CREDENTIALS.secret}, {"username": "somebody"}),
        ({}, {"apiKey": CREDENTIALS.secret}),
    ],
    ids=["none", "wrong key", "wrong user", "key in the body"],
)
async def test_wrong_credentials_are_refused_in_plain_text(
    stand: Stand, headers: dict[str, str], form: dict[str, str]
) -> None:
    answer = await stand.client.post(DOOR, data=FORM | form, headers=headers)
    assert (answer.status_code, answer.text) == (401, "The supplied authentication is invalid")
    assert answer.headers["content-type"] == "text/plain"
    assert await stand.received() == []


@pytest.mark.parametrize("name", ["username", "to", "message"])
async def test_a_missing_field_is_named_in_plain_text(stand: Stand, name: str) -> None:
    form = {key: value for key, value in FORM.items() if key != name}
    answer = await stand.client.post(DOOR, data=form, headers=HEADERS)
    assert (answer.status_code, answer.text) == (400, f"Request is missing required form field '{name}'")
    assert (await stand.client.get(DOOR, params=FORM, headers=HEADERS)).status_code in (400, 405)


async def test_who_does_not_ask_for_json_gets_xml(stand: Stand) -> None:
    answer = await stand.client.post(DOOR, data=FORM, headers={"apiKey": CREDENTIALS.secret})
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/xml")
    assert answer.text.startswith("<AfricasTalkingResponse><SMSMessageData><Message>Sent to 1/1")
    assert "<Recipient><statusCode>101</statusCode><number>+254712345678</number>" in answer.text


async def test_the_balance_is_of_the_user(stand: Stand) -> None:
    query = {"username": CREDENTIALS.user}
    answer = await stand.client.get("/version1/user", params=query, headers=HEADERS)
    assert answer.json() == {"UserData": {"balance": "KES 100000.00"}}
    await stand.control(mode="low_credit")
    answer = await stand.client.get("/version1/user", params=query, headers=HEADERS)
    assert answer.json() == {"UserData": {"balance": "KES 0.00"}}
    assert (await stand.client.get("/version1/user", params=query)).status_code == 401
