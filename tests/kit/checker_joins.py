"""The checker's joins: what clients, aggregators and receivers say, each against what the database says."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from sema_common.values.ids import event_id
from tests.kit.client import Call

TEST_ROUTE: Final = "test"
"""Played inside sms-worker: nobody outside could witness it."""

Text = tuple[str, str]
"""(recipient, text): how the client and the aggregator name a message."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One contradiction; `rule` is its stable name."""

    rule: str
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject}: {self.detail}"


@dataclass(frozen=True, slots=True)
class Message:
    """A row of the database, as far as the joins need it."""

    id: UUID
    account_id: UUID
    text: Text
    at: datetime
    test: bool
    status: str
    lane: str
    route: str | None
    perhaps_taken: int
    taken: bool


def judge_calls(calls: Sequence[Call], messages: Sequence[Message]) -> Iterator[Violation]:
    """What clients were told, against what there is."""
    by_id = {message.id: message for message in messages}
    callers = {call.account_id for call in calls}
    stored = Counter((m.account_id, m.text) for m in messages if m.account_id in callers)
    told: defaultdict[tuple[UUID, Text], set[UUID]] = defaultdict(set)
    maybe: Counter[tuple[UUID, Text]] = Counter()
    keys: defaultdict[tuple[UUID, str], set[UUID]] = defaultdict(set)
    for call in calls:
        name = (call.account_id, call.text)
        if call.message_id is not None:
            told[name].add(call.message_id)
            if call.key is not None:
                keys[call.account_id, call.key].add(call.message_id)
            message = by_id.get(call.message_id)
            if message is None:
                yield Violation("lost", str(call.message_id), f"answered {call.status}, and is nowhere")
            elif (message.account_id, message.text) != name:
                yield Violation(
                    "garbled", str(call.message_id), "stored with another recipient, text or account"
                )
        elif call.status is None:
            maybe[name] += 1
    for (account_id, key), ids in keys.items():
        if len(ids) > 1:
            yield Violation("duplicate_key", key, f"one key of {account_id} gave {len(ids)} messages")
    for name, count in stored.items():
        expected = len(told[name])
        if count > expected + maybe[name]:
            rule = "duplicate_message" if expected + maybe[name] else "phantom_message"
            detail = f"{count} stored, {expected} accepted, {maybe[name]} calls without an answer"
            yield Violation(rule, f"{name[0]} to {name[1][0]}", detail)


def judge_submits(
    witness: Iterable[Mapping[str, Any]], messages: Sequence[Message], since: datetime
) -> Iterator[Violation]:
    """What the aggregator says that it took, against what we say that it took."""
    books: defaultdict[Text, Counter[str]] = defaultdict(Counter)
    for entry in witness:
        books[entry["to"], entry["text"]][entry["aggregator"]] += 1
    by_text: defaultdict[Text, list[Message]] = defaultdict(list)
    for message in messages:
        by_text[message.text].append(message)
    for text, taken in books.items():
        number = taken.total()
        group = by_text.get(text)
        if group is None:
            yield Violation("phantom_submit", text[0], f"the aggregator took {number}, nobody asked for it")
            continue
        live = [message for message in group if not message.test]
        if not live:
            yield Violation("test_escaped", str(group[0].id), "a test message reached the aggregator")
            continue
        if len(taken) > len(live):
            yield Violation(
                "submitted_to_both", str(live[0].id), f"one message, taken by {' and '.join(taken)}"
            )
            continue
        # The priority lane may resend a doubt, once and to the same aggregator; the normal lane never.
        allowed = sum(min(m.perhaps_taken, 2) if m.lane == "priority" else 1 for m in live)
        if number > allowed:
            detail = f"the aggregator took {number}, {allowed} at most are excused"
            yield Violation("duplicate_submit", str(live[0].id), detail)
    for text, group in by_text.items():
        for name, claimed in Counter(m.route for m in group if m.taken and m.at >= since).items():
            if name != TEST_ROUTE and claimed > books[text][name or ""]:
                detail = f"{claimed} recorded as accepted by {name}, {books[text][name or '']} were"
                yield Violation("submit_unwitnessed", str(group[0].id), detail)


def judge_debts(
    owed: Iterable[Mapping[str, Any]], deliveries: Iterable[Mapping[str, Any]]
) -> Iterator[Violation]:
    """Every fact that somebody subscribed to has been tried at least once, and no success went unwritten."""
    tried: dict[tuple[UUID, UUID | None, str | None], int] = {}
    for row in deliveries:
        callback = row["url"] if row["endpoint_id"] is None else None
        tried[row["event_id"], row["endpoint_id"], callback] = row["tried"]
        if row["taken"] and row["state"] != "succeeded":
            yield Violation(
                "delivery_not_closed", str(row["id"]), f"taken by its receiver, yet {row['state']}"
            )
    for row in owed:
        fact = event_id("message", row["message_id"], row["status"])
        number = tried.get((fact, row["endpoint_id"], row["callback_url"]))
        if not number:
            what = "nobody owes it" if number is None else "never tried"
            target = row["callback_url"] or row["endpoint_id"]
            yield Violation(
                "webhook_missing", str(row["message_id"]), f"message.{row['status']} to {target}: {what}"
            )


def judge_receipts(
    hooks: Mapping[str, Sequence[Mapping[str, Any]]],
    deliveries: Sequence[Mapping[str, Any]],
    recent: Sequence[Mapping[str, Any]],
) -> Iterator[Violation]:
    """What receivers got, against what we say that we delivered: the same id on every attempt, the same bytes."""
    got: dict[tuple[str, str], set[str]] = {}
    for name, receipts in hooks.items():
        for receipt in receipts:
            got.setdefault((name, receipt["headers"].get("webhook-id", "")), set()).add(receipt["body"])
    sent = {(hook_name(row["url"]), str(row["event_id"])) for row in deliveries}
    for (name, id_), bodies in got.items():
        if (name, id_) not in sent:
            yield Violation("phantom_webhook", id_ or "without id", f"received by {name}, owed by nobody")
        if len(bodies) > 1:
            yield Violation("webhook_changed", id_, f"{len(bodies)} different bodies under one id")
    for row in recent:
        name = hook_name(row["url"])
        complete = name in hooks and (not hooks[name] or hooks[name][0].get("seq", 1) == 1)
        if row["state"] == "succeeded" and complete and (name, str(row["event_id"])) not in got:
            yield Violation("webhook_unreceived", str(row["event_id"]), f"succeeded, but {name} never got it")


def hook_name(url: str) -> str:
    """The name of the sandbox's receiver in a webhook's URL."""
    return urlsplit(url).path.removeprefix("/_hooks/")
