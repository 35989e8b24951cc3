"""Sender IDs through the customers' door and the staff's. OWASP API5:2023 (who may decide) and API6:2023 (nobody sends
under another's name)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from sema_common.platform.db import Database
from sema_main_api.accounts.opening import Opened
from tests.kit.campaigns import Campaigns, contact
from tests.kit.client import eventually

Headers = dict[str, str]
Open = Callable[..., Awaitable[Opened]]
StaffLogIn = Callable[..., Awaitable[Headers]]
PATH = "/v1/admin/sender-ids"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known of an account's senders is asked for anew each time; that it is kept is `test_reference`'s."""
    for name in ("SENDER_SECONDS", "UNKNOWN_SENDER_SECONDS"):
        monkeypatch.setattr(f"sema_main_api.messaging.reference.{name}", 0.0)


def key(account: Opened) -> Headers:
    return {"authorization": f"Bearer {account.live_key}"}


async def asked(client: httpx.AsyncClient, who: Headers, sender: str, **more: Any) -> str:
    """The id of a sender ID that waits for a decision."""
    answer = await client.post("/v1/sender-ids", json={"sender": sender, **more}, headers=who)
    assert (answer.status_code, answer.json()["status"]) == (201, "pending"), answer.text
    return str(answer.json()["id"])


async def send(
    client: httpx.AsyncClient, who: Headers, sender: str, to: str = "+254712345678"
) -> httpx.Response:
    message = {"to": to, "from": sender, "body": "Habari"}
    return await client.post("/v1/messages", json=message, headers=who)


async def comes_to(client: httpx.AsyncClient, who: Headers, sender: str, status: int) -> httpx.Response:
    """The answer to a send once it has this status: a process may go by what it knew for a while."""

    async def look() -> httpx.Response:
        answer = await send(client, who, sender)
        assert answer.status_code == status, answer.text
        return answer

    return await eventually(look)


async def audited(client: httpx.AsyncClient, office: Headers, sender_id: str) -> list[dict[str, Any]]:
    lines = (await client.get("/v1/admin/audit-log", headers=office)).json()["data"]
    return [line for line in lines if line["subject_id"] == sender_id]


async def test_a_sender_is_asked_for_approved_used_and_taken_away(
    client: httpx.AsyncClient, auth: Headers, staff: StaffLogIn
) -> None:
    """OWASP API5:2023, ASVS 16.3.3: the decision stands in the audit log, with before and after."""
    office = await staff("staff_support")
    sender_id = await asked(client, auth, "ACME", purpose="Our shop.")
    assert (await send(client, auth, "ACME")).status_code == 403
    [waiting] = (await client.get(f"{PATH}?status=pending", headers=office)).json()["data"]
    assert (waiting["id"], waiting["purpose"], waiting["account_name"]) == (sender_id, "Our shop.", "Test")
    approved = await client.post(f"{PATH}/{sender_id}/approve", json={}, headers=office)
    assert approved.json()["status"] == "approved"
    assert approved.json()["countries"] == ["KE", "RW", "TZ", "UG"]
    assert (await send(client, auth, "ACME")).status_code == 202
    rejected = await client.post(f"{PATH}/{sender_id}/reject", json={"reason": "Complaints."}, headers=office)
    assert rejected.json()["status"] == "rejected"
    answer = await send(client, auth, "ACME")
    assert (answer.status_code, answer.json()["code"]) == (403, "sender_id_not_approved")
    [own] = (await client.get("/v1/sender-ids?status=rejected", headers=auth)).json()["data"]
    assert own["reason"] == "Complaints."
    told = await audited(client, await staff(), sender_id)
    assert [line["action"] for line in told] == [
        "sender_id.rejected",
        "sender_id.approved",
        "sender_id.requested",
    ]
    assert (told[0]["before"]["status"], told[0]["after"]["status"]) == ("approved", "rejected")
    assert told[0]["reason"] == "Complaints."


async def test_what_was_rejected_may_be_asked_for_again_and_nothing_else_twice(
    client: httpx.AsyncClient, auth: Headers, staff: StaffLogIn
) -> None:
    office = await staff()
    sender_id = await asked(client, auth, "ACME")
    twice = await client.post("/v1/sender-ids", json={"sender": "ACME"}, headers=auth)
    assert (twice.status_code, twice.json()["code"]) == (409, "sender_id_exists")
    await client.post(f"{PATH}/{sender_id}/reject", json={"reason": "Whose is it?"}, headers=office)
    assert await asked(client, auth, "ACME", purpose="Ours since 1999.") == sender_id
    shown = (await client.get(f"{PATH}/{sender_id}", headers=office)).json()
    assert (shown["status"], shown["reason"], shown["decided_by"]) == ("pending", None, None)


async def test_what_reads_like_anothers_is_approved_only_in_spite_of_it(
    client: httpx.AsyncClient, open_: Open, auth: Headers, staff: StaffLogIn
) -> None:
    support, admin = await staff("staff_support"), await staff()
    theirs = await asked(client, key(await open_()), "JUMBO1")
    await client.post(f"{PATH}/{theirs}/approve", json={}, headers=support)
    ours = await asked(client, auth, "JUMBOl")
    shown = (await client.get(f"{PATH}/{ours}", headers=support)).json()
    assert [(each["kind"], each["name"]) for each in shown["look_alikes"]] == [("approved", "JUMBO1")]
    refused = await client.post(f"{PATH}/{ours}/approve", json={}, headers=admin)
    assert (refused.status_code, refused.json()["code"]) == (409, "sender_id_looks_alike")
    assert refused.json()["look_alikes"][0]["name"] == "JUMBO1"
    despite = {"despite_look_alikes": True, "reason": "Sister company."}
    assert (await client.post(f"{PATH}/{ours}/approve", json=despite, headers=support)).status_code == 403
    approved = await client.post(f"{PATH}/{ours}/approve", json=despite, headers=admin)
    assert approved.json()["status"] == "approved"
    [line, _] = await audited(client, admin, ours)
    assert [each["name"] for each in line["after"]["despite"]] == ["JUMBO1"]
    both = (await client.get(f"{PATH}?sender=Jumb01", headers=support)).json()["data"]
    assert {each["sender"] for each in both} == {"JUMBO1", "JUMBOl"}


async def test_of_two_that_look_alike_only_one_is_approved_at_a_time(
    client: httpx.AsyncClient, open_: Open, staff: StaffLogIn
) -> None:
    office = await staff()
    ids = [await asked(client, key(await open_()), sender) for sender in ("TWIN0", "TWINO", "TW1NO")]
    answers = await asyncio.gather(
        *(client.post(f"{PATH}/{each}/approve", json={}, headers=office) for each in ids)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]


async def test_a_protected_name_is_kept_and_may_be_changed(
    client: httpx.AsyncClient, auth: Headers, staff: StaffLogIn
) -> None:
    office = await staff()
    sender_id = await asked(client, auth, "Safar1com")
    refused = await client.post(f"{PATH}/{sender_id}/approve", json={}, headers=office)
    assert refused.json()["look_alikes"][0]["kind"] == "protected"
    names = "/v1/admin/protected-names"
    assert (await client.delete(f"{names}/Safaricom", headers=office)).status_code == 204
    assert (await client.delete(f"{names}/Safaricom", headers=office)).status_code == 404
    assert (await client.post(f"{PATH}/{sender_id}/approve", json={}, headers=office)).status_code == 200
    added = await client.post(names, json={"name": "Jumbo Bank", "note": "bank"}, headers=office)
    assert added.status_code == 201
    again = await client.post(names, json={"name": "Jumbo Bank"}, headers=office)
    assert (again.status_code, again.json()["code"]) == (409, "name_exists")
    listed = (await client.get(names, headers=office)).json()["data"]
    assert "Jumbo Bank" in [row["name"] for row in listed]
    assert [line["action"] for line in await audited(client, office, "Jumbo Bank")] == [
        "protected_name.added"
    ]
    assert len(await audited(client, office, "Safaricom")) == 1


async def test_a_sender_goes_where_it_is_registered_and_rules_are_staffs_to_change(
    client: httpx.AsyncClient, open_: Open, staff: StaffLogIn
) -> None:
    office, who = await staff(), key(await open_(tier="enterprise", credit="10000"))
    sender_id = await asked(client, who, "ACME", countries=["UG"])
    approved = await client.post(f"{PATH}/{sender_id}/approve", json={}, headers=office)
    assert approved.json()["countries"] == ["UG"]
    answer = await send(client, who, "ACME")
    assert (answer.status_code, answer.json()["code"]) == (403, "sender_id_not_approved")
    assert answer.json()["errors"][0]["code"] == "not_registered_in_country"
    await client.post(f"{PATH}/{sender_id}/approve", json={"countries": ["UG", "KE"]}, headers=office)
    assert (await send(client, who, "ACME")).status_code == 202
    rule = {"needs_registration": True, "allows_alphanumeric": False, "reason": "New law."}
    put = await client.put("/v1/admin/sender-rules/KE", json=rule, headers=office)
    assert (put.status_code, put.json()["allows_alphanumeric"]) == (200, False)
    answer = await comes_to(client, who, "ACME", 403)
    assert answer.json()["errors"][0]["code"] == "alphanumeric_not_allowed"
    assert (await client.delete("/v1/admin/sender-rules/KE", headers=office)).status_code == 204
    assert (await client.delete("/v1/admin/sender-rules/KE", headers=office)).status_code == 404
    told = await audited(client, office, "KE")
    assert [line["action"] for line in told] == ["sender_rule.removed", "sender_rule.set"]
    assert told[1]["before"]["allows_alphanumeric"] is True
    assert (await client.put("/v1/admin/sender-rules/kenya", json=rule, headers=office)).status_code == 404
    neither = rule | {"allows_numeric": False}
    assert (await client.put("/v1/admin/sender-rules/KE", json=neither, headers=office)).status_code == 422


async def test_a_campaign_leaves_out_whom_its_sender_may_not_reach(
    campaigns: Campaigns, pipeline: Database, account: Opened
) -> None:
    await pipeline.execute(
        "UPDATE core.sender_ids SET countries = '{KE}' WHERE account_id = $1", account.account_id
    )
    list_id = await campaigns.add_list(
        contact("+254712345678"), contact("+256772345678", country="UG", mno="MTN")
    )
    estimate = (await campaigns.post(list_id, path="/v1/campaigns/estimate")).json()
    assert (estimate["contacts"], estimate["refused"]) == (2, 1)
    campaign_id = await campaigns.submit(list_id)
    page = await campaigns.client.get(f"/v1/campaigns/{campaign_id}/recipients", headers=campaigns.auth)
    codes = {row["phone"]: (row["refused"] or {}).get("code") for row in page.json()["data"]}
    assert codes == {"+254712345678": None, "+256772345678": "sender_id_not_approved"}


async def test_nobody_but_staff_decides_and_rules_are_administrators(
    client: httpx.AsyncClient, auth: Headers, staff: StaffLogIn
) -> None:
    """OWASP API1:2023, API5:2023: to customers there is no such place."""
    sender_id = await asked(client, auth, "ACME")
    for path in (f"{PATH}/{sender_id}/approve", f"{PATH}/{sender_id}/reject"):
        assert (await client.post(path, json={}, headers=auth)).status_code == 404
    assert (await client.get(PATH, headers=auth)).status_code == 404
    support = await staff("staff_support")
    rule = {"needs_registration": False}
    assert (await client.put("/v1/admin/sender-rules/KE", json=rule, headers=support)).status_code == 403
    assert (
        await client.post("/v1/admin/protected-names", json={"name": "ACME"}, headers=support)
    ).status_code == 403
    assert (await client.post(f"{PATH}/{sender_id}/reject", json={}, headers=support)).status_code == 422
