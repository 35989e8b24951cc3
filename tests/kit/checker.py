"""One checker for all runs: joins what clients saw, what the database says, what the aggregator's own book
(the witness) says, what customers' receivers got and what is left in the queues, and names every contradiction.

    .venv/bin/python -m tests.kit.checker [--home .local]        against the running stack, once it is quiet

A timeout is a "maybe", resolved by how the message ended. The rules about the database alone are in
`checker_sql`; `tests/kit/test_checker.py` seeds a bug for each of them and for each join, and expects its name.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg

from deploy.local import control
from deploy.local.credentials import read_env
from deploy.local.layout import DEFAULT_HOME
from sema_aggregators.test_mode import MAGIC
from sema_common.values.ids import event_id
from tests.kit import checker_sql as sql
from tests.kit.client import Call, Sandbox, queue_depths

MOST_SHOWN: Final = 10

NEVER_REPORTED: Final = tuple(digits for digits, script in MAGIC.items() if not script.reports)
"""Magic recipients whose messages stay `sent`."""

TEST_ROUTE: Final = "test"
"""Played inside sms-worker: nobody outside could witness it."""

LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)

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


@dataclass(frozen=True)
class Evidence:
    """What a run left behind. None: not known, and what would need it is not checked.

    `witness` and `hooks` (by name of the sandbox's receiver) are complete since the database was made;
    `since`: they begin only there, and so does what is joined with them. `quiet`: nothing is on its way any
    more; `reported`: of everything sent there has been a report. `doubts`: how many messages may have been in
    doubt.
    """

    dsn: str
    calls: Sequence[Call] | None = None
    witness: Sequence[Mapping[str, Any]] | None = None
    hooks: Mapping[str, Sequence[Mapping[str, Any]]] | None = None
    queues: Mapping[str, int] | None = None
    since: datetime = LONG_AGO
    quiet: bool = True
    reported: bool = True
    doubts: int | None = None


@dataclass(frozen=True)
class Report:
    """`totals` say what was looked at: a check of nothing proves nothing."""

    violations: list[Violation]
    totals: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        looked_at = ", ".join(f"{name} {number}" for name, number in self.totals.items())
        if not self.violations:
            return f"no violation ({looked_at})"
        by_rule: defaultdict[str, list[Violation]] = defaultdict(list)
        for violation in self.violations:
            by_rule[violation.rule].append(violation)
        lines = [f"{len(self.violations)} violations ({looked_at})"]
        for found in by_rule.values():
            lines += [f"  {violation}" for violation in found[:MOST_SHOWN]]
            if len(found) > MOST_SHOWN:
                lines.append(f"  … and {len(found) - MOST_SHOWN} more of {found[0].rule}")
        return "\n".join(lines)


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


async def check(evidence: Evidence) -> Report:
    """Everything that this evidence can tell."""
    connection = await asyncpg.connect(evidence.dsn)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            violations = await _rules(connection, evidence.quiet, evidence.since)
            messages = [
                Message(r[0], r[1], (r[2], r[3]), *list(r.values())[4:])
                for r in await connection.fetch(sql.SQL_MESSAGES)
            ]
            owed = [dict(row) for row in await connection.fetch(sql.SQL_OWED)]
            deliveries = [dict(row) for row in await connection.fetch(sql.SQL_DELIVERIES)]
            totals = {r["status"]: r["messages"] for r in await connection.fetch(sql.SQL_TOTALS)}
            ever: int = await connection.fetchval(sql.SQL_DOUBTS, LONG_AGO)
            doubts: int = await connection.fetchval(sql.SQL_DOUBTS, evidence.since)
    finally:
        await connection.close()
    untold = ever
    if not evidence.reported:
        without = [v for v in violations if v.rule == "unfinished" and v.detail.startswith("sent ")]
        violations = [v for v in violations if v not in without]
        untold += len(without)  # sent under an id that is not theirs: the report is of another
    unmatched = [v for v in violations if v.rule == "report_unmatched"]
    if len(unmatched) <= untold:
        # What the aggregator took in doubt is reported under an id that nobody was told.
        violations = [v for v in violations if v.rule != "report_unmatched"]
    totals = {"messages": len(messages), **totals, "ever in doubt": doubts, "deliveries": len(deliveries)}
    if evidence.calls is not None:
        totals["calls"] = len(evidence.calls)
        violations += _judge_calls(evidence.calls, messages)
    if evidence.witness is not None:
        totals["witnessed"] = len(evidence.witness)
        violations += _judge_submits(evidence.witness, messages, evidence.since)
    if evidence.quiet:
        violations += _judge_debts(owed, deliveries)
    if evidence.hooks is not None:
        totals["received webhooks"] = sum(map(len, evidence.hooks.values()))
        recent = [row for row in deliveries if row["created_at"] >= evidence.since]
        violations += _judge_receipts(evidence.hooks, deliveries, recent)
    if evidence.quiet and evidence.queues is not None:
        violations += (
            Violation("queue_not_empty", name, f"{depth} left")
            for name, depth in evidence.queues.items()
            if depth
        )
    if evidence.doubts is not None and doubts > evidence.doubts:
        violations.append(
            Violation("too_many_doubts", "all", f"{doubts}, at most {evidence.doubts} are excused")
        )
    return Report(violations, totals)


async def _rules(
    connection: asyncpg.Connection[asyncpg.Record], quiet: bool, since: datetime
) -> list[Violation]:
    found: list[Violation] = []
    for rule in sql.RULES:
        if rule.always or quiet:
            arguments = (list(NEVER_REPORTED), since) if "$1" in rule.sql else ()
            rows = await connection.fetch(rule.sql, *arguments)
            found += (Violation(rule.name, str(row[0]), str(row[1])) for row in rows)
    return found


def _judge_calls(calls: Sequence[Call], messages: Sequence[Message]) -> Iterator[Violation]:
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


def _judge_submits(
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


def _judge_debts(
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


def _judge_receipts(
    hooks: Mapping[str, Sequence[Mapping[str, Any]]],
    deliveries: Sequence[Mapping[str, Any]],
    recent: Sequence[Mapping[str, Any]],
) -> Iterator[Violation]:
    """What receivers got, against what we say that we delivered: the same id on every attempt, the same bytes."""
    got: dict[tuple[str, str], set[str]] = {}
    for name, receipts in hooks.items():
        for receipt in receipts:
            got.setdefault((name, receipt["headers"].get("webhook-id", "")), set()).add(receipt["body"])
    sent = {(_hook(row["url"]), str(row["event_id"])) for row in deliveries}
    for (name, id_), bodies in got.items():
        if (name, id_) not in sent:
            yield Violation("phantom_webhook", id_ or "without id", f"received by {name}, owed by nobody")
        if len(bodies) > 1:
            yield Violation("webhook_changed", id_, f"{len(bodies)} different bodies under one id")
    for row in recent:
        name = _hook(row["url"])
        complete = name in hooks and (not hooks[name] or hooks[name][0].get("seq", 1) == 1)
        if row["state"] == "succeeded" and complete and (name, str(row["event_id"])) not in got:
            yield Violation("webhook_unreceived", str(row["event_id"]), f"succeeded, but {name} never got it")


def _hook(url: str) -> str:
    """The name of the sandbox's receiver in a webhook's URL."""
    return urlsplit(url).path.removeprefix("/_hooks/")


async def gather(env: Mapping[str, str], calls: Sequence[Call] | None = None, **known: Any) -> Evidence:
    """All evidence that a running stack gives; `env` is its stack.env."""
    async with Sandbox.open(env["SEMA_SANDBOX_URL"]) as sandbox:
        connection = await asyncpg.connect(env["DATABASE_URL"])
        try:
            urls = await connection.fetch("SELECT DISTINCT url FROM webhooks.deliveries")
        finally:
            await connection.close()
        names = {_hook(row["url"]) for row in urls if row["url"].startswith(env["SEMA_SANDBOX_URL"])}
        hooks = {name: await sandbox.received(name) for name in sorted(names)}
        known.setdefault("witness", await sandbox.witnesses())
    return Evidence(
        dsn=env["DATABASE_URL"], calls=calls, hooks=hooks, queues=await queue_depths(env), **known
    )


async def check_quiet(
    env: Mapping[str, str], calls: Sequence[Call] | None = None, seconds: float = 30.0, **known: Any
) -> Report:
    """Looks until there is no violation, at most so long: what is on its way still arrives."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        report = await check(await gather(env, calls, **known))
        if not report.violations or asyncio.get_running_loop().time() > deadline:
            return report
        await asyncio.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, default=DEFAULT_HOME)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to wait for what is on its way")
    arguments = parser.parse_args()
    layout = control.find(arguments.home)
    if control.read_status(layout) is None:
        sys.exit("the stack is not running; start it with: make up")
    env = read_env(layout.env_file)
    # The sandbox's books begin with its process; a database that is older than it has more to tell.
    since = datetime.fromtimestamp(layout.pid_file("sandbox").stat().st_mtime, UTC)
    report = asyncio.run(check_quiet(env, seconds=arguments.seconds, since=since))
    print(report)
    sys.exit(bool(report.violations))


if __name__ == "__main__":
    main()
