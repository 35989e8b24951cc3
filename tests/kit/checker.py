"""One checker for all runs: joins what clients saw, what the database says, what the aggregator's own book
(the witness) says, what customers' receivers got and what is left in the queues, and names every contradiction.

    .venv/bin/python -m tests.kit.checker [--home .local]        against the running stack, once it is quiet

A timeout is a "maybe", resolved by how the message ended. The joins are in `checker_joins`, the rules about the
database alone in `checker_sql`; `tests/kit/test_checker.py` seeds a bug for each of them and expects its name.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg

from deploy.local import control
from deploy.local.credentials import read_env
from deploy.local.layout import DEFAULT_HOME
from sema_aggregators.test_mode import MAGIC
from tests.kit import checker_sql as sql
from tests.kit.checker_joins import (
    Message,
    Violation,
    hook_name,
    judge_calls,
    judge_debts,
    judge_receipts,
    judge_submits,
)
from tests.kit.client import Call, Sandbox, queue_depths

MOST_SHOWN: Final = 10

NEVER_REPORTED: Final = tuple(digits for digits, script in MAGIC.items() if not script.reports)
"""Magic recipients whose messages stay `sent`."""

LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
        violations += judge_calls(evidence.calls, messages)
    if evidence.witness is not None:
        totals["witnessed"] = len(evidence.witness)
        violations += judge_submits(evidence.witness, messages, evidence.since)
    if evidence.quiet:
        violations += judge_debts(owed, deliveries)
    if evidence.hooks is not None:
        totals["received webhooks"] = sum(map(len, evidence.hooks.values()))
        recent = [row for row in deliveries if row["created_at"] >= evidence.since]
        violations += judge_receipts(evidence.hooks, deliveries, recent)
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


async def gather(env: Mapping[str, str], calls: Sequence[Call] | None = None, **known: Any) -> Evidence:
    """All evidence that a running stack gives; `env` is its stack.env."""
    async with Sandbox.open(env["SEMA_SANDBOX_URL"]) as sandbox:
        connection = await asyncpg.connect(env["DATABASE_URL"])
        try:
            urls = await connection.fetch("SELECT DISTINCT url FROM webhooks.deliveries")
        finally:
            await connection.close()
        names = {hook_name(row["url"]) for row in urls if row["url"].startswith(env["SEMA_SANDBOX_URL"])}
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
