"""The checker can fail: a healthy world has no violation, and each seeded bug is called by its name."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from sema_common.values.ids import event_id, id_time, new_id
from tests.kit.checker import Evidence, check
from tests.kit.checker_joins import Violation
from tests.kit.checker_sql import RULES
from tests.kit.client import Call
from tests.kit.fixtures import TestDatabase

pytestmark = pytest.mark.stores

URL = "http://127.0.0.1:1/_hooks/shop"


@dataclass
class World:
    """One account with two messages: `good` was delivered, `bad` was never taken and is refunded."""

    db: "asyncpg.Connection[asyncpg.Record]"
    account: UUID
    good: UUID
    bad: UUID
    evidence: Evidence

    async def rules(self, **changes: Any) -> set[str]:
        report = await check(replace(self.evidence, **changes))
        return {violation.rule for violation in report.violations}


@pytest.fixture
async def world(database: TestDatabase) -> AsyncIterator[World]:
    db = await asyncpg.connect(database.owner_dsn)
    account, other = new_id(), new_id()
    for id_ in (account, other):
        await db.execute(
            "INSERT INTO core.accounts (id, tenant_id, billing_account_id, name, type, tier, currency, webhook_secret)"
            " VALUES ($1, $1, $1, 'Shop', 'direct', 'growth', 'KES', '')",
            id_,
        )
    await db.execute("INSERT INTO billing.credits VALUES ($1, $1, 'KES', 9, 0)", account)
    await _entry(db, account, "opening", new_id(), "10")
    earlier = datetime.now(UTC) - timedelta(minutes=1)
    await db.execute(
        "INSERT INTO webhooks.endpoints (id, tenant_id, account_id, url, events, secret, created_at)"
        " VALUES ($1, $1, $1, $2, ARRAY['message.delivered', 'message.failed'], '', $3)",
        account,
        URL,
        earlier - timedelta(minutes=1),
    )
    good, bad = new_id(earlier), new_id(earlier)
    for id_, status in ((good, "delivered"), (bad, "failed")):
        await _message(db, account, id_, status)
        await _entry(db, account, "charge", id_, "-1")
        await _delivery(db, account, id_, status)
    await _entry(db, account, "refund", bad, "1")
    await _campaign(db, account, good)
    evidence = Evidence(
        dsn=database.owner_dsn,
        calls=[Call(account, (_to(id_), f"text {id_}"), f"key {id_}", 202, id_) for id_ in (good, bad)],
        witness=[{"seq": 1, "to": _to(good), "text": f"text {good}", "aggregator": "celcom"}],
        hooks={
            "shop": [
                {"headers": {"webhook-id": str(event_id("message", id_, status))}, "body": status}
                for id_, status in ((good, "delivered"), (bad, "failed"))
            ]
        },
        queues={"sms.normal": 0, "dlq.sms.normal": 0},
        doubts=0,
    )
    yield World(db, account, good, bad, evidence)
    await db.close()


def _to(message_id: UUID) -> str:
    return f"+2547{message_id.int % 10**8:08}"


async def _entry(db: Any, account: UUID, kind: str, reference: UUID, amount: str) -> None:
    await db.execute(
        "INSERT INTO billing.credit_ledger (account_id, tenant_id, kind, reference, amount, counter_account,"
        " balance_after) VALUES ($1, $1, $2, $3, $4, $5, 0)",
        account,
        kind,
        reference,
        Decimal(amount),
        "reservations" if kind in {"reserve", "release"} else "revenue",
    )


async def _campaign(db: Any, account: UUID, message_id: UUID) -> None:
    """A campaign that is over, whose only message is this one."""
    campaign = new_id()
    await db.execute(
        "INSERT INTO core.campaigns (id, tenant_id, account_id, billing_account_id, name, sender, message, status,"
        " currency, estimate, cost, contacts, expanded, expanded_at)"
        " VALUES ($1, $2, $2, $2, 'Test', 'SEMALINK', 'text', 'completed', 'KES', 1, 1, 1, 1, now())",
        campaign,
        account,
    )
    await db.execute(
        "INSERT INTO core.campaign_recipients (campaign_id, country, seq, tenant_id, contact_id, msisdn)"
        " VALUES ($1, 'KE', 1, $2, $2, $3)",
        campaign,
        account,
        _to(message_id),
    )
    await db.execute(
        "UPDATE orch.sms_messages SET campaign_id = $1 WHERE message_id = $2", campaign, message_id
    )
    await _entry(db, account, "reserve", campaign, "-1")
    await _entry(db, account, "release", campaign, "1")


async def _message(db: Any, account: UUID, message_id: UUID, status: str) -> None:
    at = id_time(message_id)
    await db.execute(
        "INSERT INTO orch.sms_messages (message_id, enqueued_at, tenant_id, account_id, billing_account_id, to_msisdn,"
        " from_sender, body, message_type, lane, encoding, segment_count, cost, currency, country, route_id, status,"
        " valid_until, status_updated_at)"
        " VALUES ($1, $2, $3, $3, $3, $4, 'SEMALINK', $5, 'SMS', 'normal', 'GSM-7', 1, 1, 'KES', 'KE', 'celcom', $6,"
        " $2::timestamptz + interval '1 day', $2)",
        message_id,
        at,
        account,
        _to(message_id),
        f"text {message_id}",
        status,
    )
    steps = (
        ["submitted", "queued", "sent", "delivered"]
        if status == "delivered"
        else ["submitted", "queued", status]
    )
    for step in steps:
        await db.execute(
            "INSERT INTO orch.message_events (message_id, enqueued_at, tenant_id, event_key, status, occurred_at,"
            " source) VALUES ($1, $2, $3, $4, $4, $2, 'test')",
            message_id,
            at,
            account,
            step,
        )
    state = "accepted" if status == "delivered" else "refused"
    await _attempt(db, account, message_id, 1, "celcom", state)


async def _attempt(
    db: Any, account: UUID, message_id: UUID, number: int, aggregator: str, state: str, due: str = "NULL"
) -> None:
    await db.execute(
        "INSERT INTO orch.submit_attempts (message_id, attempt, tenant_id, lane, aggregator, state, due_at)"
        f" VALUES ($1, $2, $3, 'normal', $4, $5, {due})",
        message_id,
        number,
        account,
        aggregator,
        state,
    )


async def _delivery(db: Any, account: UUID, message_id: UUID, status: str) -> None:
    id_ = event_id("delivery", message_id)
    await db.execute(
        "INSERT INTO webhooks.deliveries (id, tenant_id, account_id, endpoint_id, target, url, event_id, type,"
        " message_id, payload, state, attempts) VALUES ($1, $2, $2, $2, 't', $3, $4, $5, $6, '', 'succeeded', 1)",
        id_,
        account,
        URL,
        event_id("message", message_id, status),
        f"message.{status}",
        message_id,
    )
    await db.execute(
        "INSERT INTO webhooks.webhook_delivery_attempts (delivery_id, attempt, tenant_id, started_at, duration_ms,"
        " status_code) VALUES ($1, 1, $2, now(), 1, 200)",
        id_,
        account,
    )


async def test_a_healthy_world_has_no_violation(world: World) -> None:
    report = await check(world.evidence)
    assert report.violations == []
    assert report.totals["messages"] == 2


# Statements that break exactly what the name says; {good}, {bad}, {account} are ids of the world.
BUGS = {
    "balance_is_not_ledger": "UPDATE billing.credits SET balance = balance - 1",
    "below_limit": "ALTER TABLE billing.credits DROP CONSTRAINT credits_check;"
    " UPDATE billing.credits SET balance = -1; UPDATE billing.credit_ledger SET amount = 0 WHERE kind = 'opening'",
    "not_charged_once": "ALTER TABLE billing.credit_ledger DROP CONSTRAINT credit_ledger_pkey;"
    " INSERT INTO billing.credit_ledger (account_id, tenant_id, kind, reference, amount, counter_account,"
    " balance_after) VALUES ('{account}', '{account}', 'charge', '{good}', -1, 'revenue', 0)",
    "charge_without_message": "UPDATE billing.credit_ledger SET reference = gen_random_uuid()"
    " WHERE kind = 'charge' AND reference = '{good}'",
    "refunded_wrongly": "UPDATE billing.credit_ledger SET amount = 2 WHERE kind = 'refund'",
    "unrefunded": "DELETE FROM billing.credit_ledger WHERE kind = 'refund'",
    "reservation_is_not_held": "UPDATE core.campaigns SET estimate = 2, reserved = 1",
    "campaign_cost_is_not_charged": "UPDATE core.campaigns SET cost = 0",
    "campaign_twice_or_to_a_stranger": "UPDATE core.campaign_recipients SET msisdn = '+254700000000'",
    "campaign_left_somebody_out": "UPDATE core.campaigns SET contacts = 2",
    "campaign_unfinished": "UPDATE core.campaigns SET status = 'sending'",
    "status_is_not_history": "UPDATE orch.sms_messages SET status = 'sent' WHERE message_id = '{good}'",
    "illegal_history": "INSERT INTO orch.message_events SELECT message_id, enqueued_at, tenant_id, 'again', 'expired',"
    " occurred_at, source, detail FROM orch.message_events WHERE message_id = '{bad}' AND status = 'failed'",
    "event_without_message": "UPDATE orch.message_events SET message_id = gen_random_uuid()"
    " WHERE message_id = '{good}' AND status = 'queued'",
    "accepted_twice": "INSERT INTO orch.submit_attempts (message_id, attempt, tenant_id, lane, aggregator, state)"
    " VALUES ('{good}', 2, '{account}', 'normal', 'celcom', 'accepted')",
    "failed_over_in_doubt": "UPDATE orch.submit_attempts SET state = 'in_doubt' WHERE message_id = '{bad}';"
    " INSERT INTO orch.submit_attempts (message_id, attempt, tenant_id, lane, aggregator, state)"
    " VALUES ('{bad}', 2, '{account}', 'priority', 'africastalking', 'refused')",
    "bulk_resent_in_doubt": "UPDATE orch.submit_attempts SET state = 'settled' WHERE message_id = '{bad}';"
    " INSERT INTO orch.submit_attempts (message_id, attempt, tenant_id, lane, aggregator, state)"
    " VALUES ('{bad}', 2, '{account}', 'normal', 'celcom', 'refused')",
    "across_tenants": "UPDATE webhooks.deliveries SET tenant_id = gen_random_uuid()",
    "stuck": "UPDATE orch.sms_messages SET status = 'queued', valid_until = now() - interval '1 hour'"
    " WHERE message_id = '{bad}'",
    "unfinished": "UPDATE orch.sms_messages SET status = 'queued' WHERE message_id = '{bad}'",
    "attempt_left_open": "UPDATE orch.submit_attempts SET due_at = now() WHERE message_id = '{bad}'",
    "report_unmatched": "INSERT INTO dlr.dlrs (id, received_at, aggregator, aggregator_id, description, state, raw)"
    " VALUES (gen_random_uuid(), now(), 'celcom', '7', 'DeliveredToTerminal', 'unmatched', '')",
    "dead_letter": "INSERT INTO core.dead_letters (id, queue, reason, headers, body, dead_at)"
    " VALUES (gen_random_uuid(), 'sms.normal', 'limit', '{{}}', '', now())",
    "sale_is_not_what_the_customer_pays": "UPDATE orch.sms_messages SET account_id = gen_random_uuid()"
    " WHERE message_id = '{good}'",
    "agent_month_is_not_its_sales": "INSERT INTO billing.agent_months (customer_id, month, agent_id, tenant_id, retail)"
    " VALUES ('{account}', '2026-11-01', '{account}', '{account}', 1)",
    # What the joins find in the database alone.
    "lost": "DELETE FROM orch.sms_messages WHERE message_id = '{good}'",
    "garbled": "UPDATE orch.sms_messages SET body = 'another text' WHERE message_id = '{bad}'",
    "webhook_missing": "DELETE FROM webhooks.deliveries WHERE message_id = '{good}'",
    "delivery_not_closed": "UPDATE webhooks.deliveries SET state = 'pending', next_attempt_at = now()",
    "test_escaped": "UPDATE orch.sms_messages SET test = true",
    "submit_unwitnessed": "INSERT INTO orch.submit_attempts (message_id, attempt, tenant_id, lane, aggregator, state)"
    " VALUES ('{bad}', 2, '{account}', 'normal', 'celcom', 'accepted')",
    "too_many_doubts": "UPDATE orch.submit_attempts SET state = 'settled' WHERE message_id = '{bad}'",
}


def test_every_rule_about_the_database_has_a_seeded_bug() -> None:
    assert {rule.name for rule in RULES} <= BUGS.keys()


@pytest.mark.parametrize("rule", BUGS)
async def test_a_bug_in_the_database_is_called_by_its_name(world: World, rule: str) -> None:
    await world.db.execute(BUGS[rule].format(good=world.good, bad=world.bad, account=world.account))
    assert rule in await world.rules()


async def test_a_refund_that_keeps_a_part_is_called_by_its_name(world: World) -> None:
    await world.db.execute("UPDATE billing.credit_ledger SET amount = 0.5 WHERE kind = 'refund'")
    assert "refunded_wrongly" in await world.rules()


async def test_a_second_refund_is_called_by_its_name(world: World) -> None:
    await world.db.execute("ALTER TABLE billing.credit_ledger DROP CONSTRAINT credit_ledger_pkey")
    await _entry(world.db, world.account, "refund", world.bad, "0")
    assert "refunded_wrongly" in await world.rules()


async def test_a_refund_of_what_was_delivered_is_called_by_its_name(world: World) -> None:
    await _entry(world.db, world.account, "refund", world.good, "1")
    assert {"refunded_wrongly", "balance_is_not_ledger"} <= await world.rules()


async def test_messages_that_nobody_asked_for_are_found(world: World) -> None:
    calls = world.evidence.calls or ()
    assert await world.rules(calls=calls[1:]) == {"phantom_message"}
    refused = replace(calls[0], status=402, message_id=None)
    assert await world.rules(calls=[refused, calls[1]]) == {"phantom_message"}
    maybe = replace(calls[0], status=None, message_id=None)
    assert await world.rules(calls=[maybe, calls[1]]) == set()


async def test_one_key_with_two_messages_is_found(world: World) -> None:
    calls = [replace(call, key="the same") for call in world.evidence.calls or ()]
    assert await world.rules(calls=calls) == {"duplicate_key"}


async def test_a_message_stored_twice_is_found(world: World) -> None:
    await world.db.execute("UPDATE orch.sms_messages SET body = 'x', to_msisdn = '+254700000000'")
    calls = [replace(call, text=("+254700000000", "x")) for call in world.evidence.calls or ()]
    assert "duplicate_message" in await world.rules(calls=calls[:1], witness=None)


async def test_what_the_witness_contradicts_is_found(world: World) -> None:
    entry = (world.evidence.witness or ())[0]
    assert await world.rules(witness=[entry, entry]) == {"duplicate_submit"}
    assert await world.rules(witness=[entry, {**entry, "text": "another"}]) == {"phantom_submit"}
    assert await world.rules(witness=[]) == {"submit_unwitnessed"}
    assert await world.rules(witness=[{**entry, "aggregator": "africastalking"}]) == {"submit_unwitnessed"}
    both = [entry, {**entry, "aggregator": "africastalking"}]
    assert await world.rules(witness=both) == {"submitted_to_both"}


async def test_what_receivers_contradict_is_found(world: World) -> None:
    first, second = (world.evidence.hooks or {})["shop"]
    assert await world.rules(hooks={"shop": [first]}) == {"webhook_unreceived"}
    assert await world.rules(hooks={"shop": [first, second, {**first, "body": "other"}]}) == {
        "webhook_changed"
    }
    stranger = {"headers": {"webhook-id": "stranger"}, "body": ""}
    assert await world.rules(hooks={"shop": [first, second, stranger]}) == {"phantom_webhook"}


async def test_what_is_left_in_a_queue_is_found(world: World) -> None:
    assert await world.rules(queues={"dlq.sms.normal": 1}) == {"queue_not_empty"}
    assert await world.rules(queues={"dlq.sms.normal": 1}, quiet=False) == set()


def test_a_violation_reads_as_one_line() -> None:
    assert str(Violation("lost", "an id", "nowhere")) == "lost: an id: nowhere"
