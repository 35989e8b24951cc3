"""One batch of reports: read, match, move, file, tell.

Everything is written in one transaction, keyed so that a repeat is a no-op, and told after the commit with
ids derived from message and status. A batch that is handled again, for whatever reason (redelivered, tried
again after the broker was away, sent back by staff), is known by its reports, which are filed already: it
changes nothing, counts nothing, and repeats its telling.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sema_common.billing import ledger
from sema_common.messages.status import FINAL, Status
from sema_common.messages.store import reports as messages
from sema_common.messages.store.reading import read_messages
from sema_common.messages.store.rows import MessageRow
from sema_common.messages.view import of_row, status_fact
from sema_common.platform import telemetry
from sema_common.platform.bus import Bus, Delivery, Outgoing
from sema_common.platform.db import Database, Tx
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.wire.dlr import RawDlrs, RematchDlrs
from sema_common.wire.queues import WEBHOOKS_OUTBOUND
from sema_common.wire.webhook import Fact, bundle_facts
from sema_dlr_processor import metrics, rules, store
from sema_dlr_processor.reading import Unread, open_inbox
from sema_dlr_processor.rules import Kept
from sema_dlr_processor.store import Filed

log = get_logger()


@dataclass(slots=True)
class Case:
    """What the batch says of one message, and what became of it.

    `row` is the message as the batch leaves it, None once it is archived. `was` is the status that it moved
    from, None when it stays where it is. `handled_before`: a report of it was filed by an earlier try, and
    nobody knows whether its fact was told.
    """

    reports: list[Kept] = field(default_factory=list)
    row: MessageRow | None = None
    was: Status | None = None
    refunded: bool = False
    handled_before: bool = False


class ReportHandler:
    """Handles `dlr.inbound`."""

    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._bus = bus

    async def handle(self, deliveries: list[Delivery[RawDlrs | RematchDlrs]]) -> None:
        """One batch: acknowledged once it is written and told."""
        inbox = open_inbox(deliveries)
        async with self._db.transaction() as tx:
            unread = await store.quarantine(tx, inbox.unread)
            kept = inbox.kept + await store.read(tx, inbox.stored)
            cases, strangers = await match(tx, kept)
            fault("dlr.after_match")
            await move(tx, cases)
            fault("dlr.after_transition")
            filed = await file(tx, cases, strangers)
            fault("dlr.before_commit")
        fault("dlr.before_webhook_enqueue")
        count(unread, filed, cases.values())
        await self._tell(
            [
                fact_of(case.row)
                for case in cases.values()
                if case.row and (case.was or (case.handled_before and case.row.status in FINAL))
            ]
        )
        fault("dlr.before_ack")

    async def _tell(self, facts: Sequence[Fact]) -> None:
        outgoing = [Outgoing(WEBHOOKS_OUTBOUND, bundle, name) for bundle, name in bundle_facts(facts)]
        for outcome in await self._bus.publish_many(outgoing):
            if outcome is not None:
                raise outcome


async def match(tx: Tx, kept: Sequence[Kept]) -> tuple[dict[UUID, Case], list[Kept]]:
    """A case for each message that the reports are about, and the reports whose submit nobody knows (yet)."""
    submits = await messages.find_submits(tx, [one.key for one in kept]) if kept else {}
    cases: defaultdict[UUID, Case] = defaultdict(Case)
    strangers: list[Kept] = []
    for one in kept:
        message_id = submits.get(one.key)
        (strangers if message_id is None else cases[message_id].reports).append(one)
    return cases, strangers


async def move(tx: Tx, cases: dict[UUID, Case]) -> None:
    """Move each message to the highest status reported of it, if that climbs, and refund whom the policy says."""
    said = (rules.reported(message_id, case.reports) for message_id, case in cases.items())
    wanted = [reported for reported in said if reported is not None]
    undelivered = [reported.message_id for reported in wanted if reported.status != "delivered"]
    payers = await store.refundable(tx, undelivered) if undelivered else {}
    if payers:
        await ledger.lock_balances(tx, payers.values())
    moved = await messages.apply_reports(tx, wanted) if wanted else {}
    owed = payers.keys() & moved.keys()
    refunded = await ledger.refund(tx, owed) if owed else set()
    rest = [message_id for message_id in cases if message_id not in moved]
    standing = await read_messages(tx, rest) if rest else {}
    for message_id, case in cases.items():
        if (climbed := moved.get(message_id)) is not None:
            case.row, case.was = climbed.row, climbed.was
        else:
            case.row = standing.get(message_id)
        case.refunded = message_id in refunded


async def file(tx: Tx, cases: dict[UUID, Case], strangers: Sequence[Kept]) -> list[Filed]:
    """Store every report with what became of it, and its note in the message's history; answers what is new.

    A message that is archived is as good as a stranger's.
    """
    at = now()
    filed: list[Filed] = []
    notes: list[messages.Noted] = []
    unmatched = list(strangers)
    for message_id, case in cases.items():
        if (row := case.row) is None:
            unmatched += case.reports
            continue
        moved = case.was is not None
        filed += [Filed(one, message_id, rules.result(one, moved, row.status)) for one in case.reports]
        notes += rules.noted(row.tenant_id, message_id, case.reports, row.status)
    filed += [Filed(one, None, "unmatched", rules.retry_at(one.received_at, at)) for one in unmatched]
    written = await store.keep(tx, filed)
    if notes:
        await messages.note_reports(tx, notes)
    for each in filed:
        if each.message_id is not None and each.kept.row not in written:
            cases[each.message_id].handled_before = True
    return [each for each in filed if each.kept.row in written]


def count(unread: Iterable[Unread], filed: Iterable[Filed], cases: Iterable[Case]) -> None:
    """Metrics of one commit: of what it wrote, so that a second try of the batch counts nothing twice."""
    for body in unread:
        metrics.QUARANTINED.labels(body.aggregator).inc()
        log.warning("report_quarantined", aggregator=body.aggregator, reason=body.reason)
    for each in filed:
        metrics.REPORTS.labels(each.kept.aggregator, each.result).inc()
    for case in cases:
        if (row := case.row) is None or case.was is None:
            continue
        metrics.STATUS.labels(row.route or "", row.mno or "", row.status).inc()
        metrics.REFUNDS.inc(case.refunded)
        if case.was in FINAL:
            metrics.LATE.labels(row.route or "").inc()
        if row.status == "delivered" and row.delivered_at is not None and row.sent_at is not None:
            metrics.LATENCY.labels(row.mno or "").observe((row.delivered_at - row.sent_at).total_seconds())


def fact_of(row: MessageRow) -> Fact:
    """The fact of a message's final status, in the trace that began with its POST."""
    status: Status = row.status
    with telemetry.span("report message", "consumer", parent=row.traceparent) as span:
        log.info(
            f"message_{status}",
            message_id=str(row.message_id),
            account_id=str(row.account_id),
            trace_id=span.trace_id,
        )
        return status_fact(
            of_row(row),
            message_id=row.message_id,
            account_id=row.account_id,
            status=status,
            occurred_at=row.status_at,
            callback_url=row.callback_url,
            traceparent=span.traceparent,
        )
