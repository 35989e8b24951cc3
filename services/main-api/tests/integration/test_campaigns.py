"""A campaign that goes well: who gets it, at what price, and what the customer is told."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal

import httpx

from sema_common.wire.content import ScreenCampaign
from sema_common.wire.webhook import Facts
from sema_main_api.accounts.opening import Opened
from tests.kit import campaigns as kit
from tests.kit.campaigns import Campaigns, Consumed, contact
from tests.kit.client import eventually

Open = Callable[..., Awaitable[Opened]]
Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]

A, B, C = "+254712345671", "+254712345672", "+254712345673"
PRICE = Decimal("0.8000")


async def test_a_campaign_lives_from_its_submission_to_its_last_message(
    campaigns: Campaigns, consumed: Consumed
) -> None:
    list_id = await campaigns.add_list(contact(A), contact(B), contact(C))
    campaign_id = await campaigns.submit(list_id)
    assert await campaigns.balance() == 100 - 3 * PRICE
    waiting = await campaigns.status(campaign_id, "pending_content_check")
    assert waiting["totals"] == dict.fromkeys(waiting["totals"], 0) | {"contacts": 3, "waiting": 3}
    assert waiting["cost_estimate"]["amount"] == "2.4000"
    await consumed.until(lambda: any(isinstance(m, ScreenCampaign) for m in consumed.messages))
    assert consumed.jobs == []

    await campaigns.approve(campaign_id)
    await consumed.until(lambda: consumed.jobs == [A, B, C])
    sending = await campaigns.until(campaign_id, lambda c: c["totals"]["queued"] == 3)
    assert (sending["status"], sending["cost"]["amount"]) == ("sending", "2.4000")
    done = await campaigns.status(campaign_id, "completed")
    assert (done["totals"]["sent"], done["completed_at"] is not None) == (3, True)
    assert await campaigns.balance() == 100 - 3 * PRICE
    await campaigns.audit()
    await consumed.until(lambda: any(isinstance(m, Facts) for m in consumed.messages))
    [facts] = [m for m in consumed.messages if isinstance(m, Facts)]
    assert facts.facts[0].type == "campaign.completed"
    assert facts.facts[0].data["status"] == "completed"
    assert {row["lane"] for row in await campaigns.messages(campaign_id)} == {"normal"}
    listed = (await campaigns.client.get("/v1/campaigns", headers=campaigns.auth)).json()["data"]
    assert [c["id"] for c in listed] == [str(campaign_id)]


async def test_opt_outs_repeats_and_invalid_rows_are_counted_and_cost_nothing(campaigns: Campaigns) -> None:
    list_id = await campaigns.add_list(
        contact(A), contact(A), contact(B), contact(C, validity="invalid"), contact(C, validity="pending")
    )
    body = {"phone": B}
    await campaigns.client.post("/v1/suppressions", json=body, headers=campaigns.auth)
    found = await campaigns.read(await campaigns.submit(list_id))
    assert found["totals"]["contacts"] == 1
    assert found["skipped"] == {"suppressed": 1, "duplicates": 1, "invalid": 2}
    assert found["cost_estimate"]["amount"] == "0.8000"


async def test_recipients_and_prices_are_those_of_the_submission_whatever_happens_to_the_list(
    campaigns: Campaigns,
) -> None:
    list_id = await campaigns.add_list(contact(A, "Asha"), contact(B, "Baraka"))
    campaign_id = await campaigns.submit(list_id, "Hi {{name}}")
    owner = campaigns.owner
    await owner.execute("UPDATE core.contacts SET name = 'Somebody else', validity = 'invalid'")
    async with owner.transaction() as tx:
        await tx.execute("DELETE FROM core.contacts WHERE msisdn = $1", A)
        await tx.execute("DELETE FROM core.contact_lists")
        await tx.execute("UPDATE billing.pricing_tiers SET price = price * 10")
    await campaigns.approve(campaign_id)
    done = await campaigns.status(campaign_id, "completed")
    assert done["contact_list_id"] is None
    sent = await campaigns.messages(campaign_id)
    assert [(m["to_msisdn"], m["body"], m["cost"]) for m in sent] == [
        (A, "Hi Asha", PRICE),
        (B, "Hi Baraka", PRICE),
    ]
    await campaigns.audit()


async def test_whoever_opts_out_before_his_turn_is_passed_over_and_not_charged(campaigns: Campaigns) -> None:
    list_id = await campaigns.add_list(contact(A), contact(B))
    campaign_id = await campaigns.submit(list_id)
    await campaigns.client.post("/v1/suppressions", json={"phone": A}, headers=campaigns.auth)
    await campaigns.approve(campaign_id)
    done = await campaigns.status(campaign_id, "completed")
    assert (done["totals"]["refused"], done["totals"]["sent"], done["cost"]["amount"]) == (1, 1, "0.8000")
    assert await campaigns.balance() == 100 - PRICE
    path = f"/v1/campaigns/{campaign_id}/recipients"
    refused = (await campaigns.client.get(path, params={"refused": "true"}, headers=campaigns.auth)).json()
    assert [(r["phone"], r["refused"]["code"]) for r in refused["data"]] == [(A, "recipient_suppressed")]
    everybody = (await campaigns.client.get(path, params={"limit": 1}, headers=campaigns.auth)).json()
    cursor = {"limit": 1, "cursor": everybody["next_cursor"]}
    rest = (await campaigns.client.get(path, params=cursor, headers=campaigns.auth)).json()
    assert [r["phone"] for r in everybody["data"] + rest["data"]] == [A, B]
    await campaigns.audit()


async def test_each_text_is_priced_as_it_is_rendered_and_missing_values_are_reported(
    campaigns: Campaigns,
) -> None:
    list_id = await campaigns.add_list(
        contact(A, "Asha", city="Nakuru" * 40), contact(B, None, city="Kisumu"), contact(C, " ", city="")
    )
    campaign_id = await campaigns.submit(list_id, "Hi {{ name }} of {{city}}{{city}}!")
    found = await campaigns.read(campaign_id)
    assert found["missing_values"] == {"name": 2, "city": 1}
    assert found["cost_estimate"]["amount"] == str(PRICE * (4 + 1 + 1))
    path = f"/v1/campaigns/{campaign_id}/recipients?missing=city"
    lacking = (await campaigns.client.get(path, headers=campaigns.auth)).json()["data"]
    assert [(r["phone"], r["missing"]) for r in lacking] == [(C, ["name", "city"])]
    await campaigns.approve(campaign_id)
    await campaigns.status(campaign_id, "completed")
    sent = await campaigns.messages(campaign_id)
    assert [m["segment_count"] for m in sent] == [4, 1, 1]
    assert sent[1]["body"] == "Hi  of KisumuKisumu!"
    await campaigns.audit()


async def test_whoever_lacks_a_value_may_be_skipped_instead(campaigns: Campaigns) -> None:
    list_id = await campaigns.add_list(contact(A, "Asha"), contact(B))
    campaign_id = await campaigns.submit(list_id, "Hi {{name}}", on_missing="skip")
    await campaigns.approve(campaign_id)
    done = await campaigns.status(campaign_id, "completed")
    assert (done["totals"]["refused"], done["cost_estimate"], done["cost"]) == (1, done["cost"], done["cost"])
    assert [m["to_msisdn"] for m in await campaigns.messages(campaign_id)] == [A]
    await campaigns.audit()


async def test_a_rendered_text_that_the_rules_refuse_is_reported_and_not_charged(
    campaigns: Campaigns,
) -> None:
    await campaigns.owner.execute("INSERT INTO core.content_blocklist (kind, value) VALUES ('word', 'zzbad')")
    send = {"to": A, "from": "SEMALINK", "body": "zzbad"}

    async def known() -> None:
        answer = await campaigns.client.post("/v1/messages", json=send, headers=campaigns.auth)
        assert answer.status_code == 422

    await eventually(known)
    before = await campaigns.balance()
    list_id = await campaigns.add_list(contact(A, "Asha"), contact(B, "zzbad"))
    campaign_id = await campaigns.submit(list_id, "Hi {{name}}")
    await campaigns.approve(campaign_id)
    done = await campaigns.status(campaign_id, "completed")
    assert (done["totals"]["refused"], done["totals"]["sent"]) == (1, 1)
    assert await campaigns.balance() == before - PRICE
    await campaigns.audit()


async def test_the_same_key_is_one_campaign(campaigns: Campaigns) -> None:
    list_id = await campaigns.add_list(contact(A))
    key = {"idempotency-key": "spring"}
    first = await campaigns.post(list_id, headers=key)
    again = await campaigns.post(list_id, headers=key)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert (await campaigns.post(list_id, "Other", headers=key)).json()["code"] == "idempotency_key_reused"
    assert await campaigns.balance() == 100 - PRICE


async def test_an_estimate_is_what_the_submission_reserves_and_leaves_nothing(campaigns: Campaigns) -> None:
    list_id = await campaigns.add_list(contact(A, "Asha"), contact(B, "😀"), contact(C))
    path = "/v1/campaigns/estimate"
    estimate = (await campaigns.post(list_id, "Hi {{name}}", path=path)).json()
    assert await campaigns.owner.fetchval("SELECT count(*) FROM core.campaigns") == 0
    assert estimate["samples"][0] == {"phone": A, "text": "Hi Asha", "encoding": "GSM-7", "segments": 1}
    found = await campaigns.read(await campaigns.submit(list_id, "Hi {{name}}"))
    assert estimate["cost_estimate"] == found["cost_estimate"]
    assert estimate["missing_values"] == found["missing_values"] == {"name": 1}
    assert (estimate["contacts"], estimate["refused"]) == (3, 1), "no route carries the emoji"
    assert found["totals"]["refused"] == 1


async def test_a_test_key_runs_a_campaign_that_costs_nothing(campaigns: Campaigns) -> None:
    test = {"authorization": f"Bearer {campaigns.test_key}"}
    campaign_id = await campaigns.submit(await campaigns.add_list(contact(A)), headers=test)
    await campaigns.approve(campaign_id)
    done = await campaigns.status(campaign_id, "completed")
    assert (done["cost_estimate"]["amount"], done["cost"]["amount"]) == ("0.0000", "0.0000")
    assert await campaigns.owner.fetchval("SELECT bool_and(test) FROM orch.sms_messages")
    assert await campaigns.balance() == 100
    await campaigns.audit()


async def test_many_recipients_are_copied_in_the_database_and_priced_by_network(
    campaigns: Campaigns, open_: Open
) -> None:
    rich = await open_("Rich", credit="10000")
    campaigns.auth = {"authorization": f"Bearer {rich.live_key}"}
    async with campaigns.owner.transaction(60) as tx:
        list_id = await kit.add_many(tx, rich.account_id, 0, 12_000)
    found = await campaigns.read(await campaigns.submit(list_id, "Hi {{name}} of {{city}}"))
    assert (found["totals"]["contacts"], found["cost_estimate"]["amount"]) == (12_000, "9600.0000")
    await campaigns.audit()
