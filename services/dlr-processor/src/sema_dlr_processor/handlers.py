"""One batch of reports: read, match, move, tell.

Everything is written in one transaction, keyed so that a repeat is a no-op, and told after the commit with
ids derived from message and status. A batch that is handled again, for whatever reason (redelivered, tried
again after the broker was away, sent back by staff), is known by its reports, which are filed already: it
changes nothing and repeats its telling.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sema_aggregators import READERS, RawReport, Report, Unreadable
from sema_common.billing import ledger
from sema_common.messages.status import FINAL, Status
from sema_common.messages.store import reports as messages
from sema_common.messages.store.attempts import read_messages
from sema_common.messages.store.rows import MessageRow
from sema_common.messages.view import of_row, status_fact
from sema_common.platform import telemetry
from sema_common.platform.bus import Bus, Delivery, Outgoing
from sema_common.platform.db import Database, Tx
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.values.ids import event_id
from sema_common.wire.dlr import RawDlr, RawDlrs, RematchDlrs
from sema_common.wire.webhook import MAX_FACTS, Fact, Facts
from sema_dlr_processor import metrics, rules, store
from sema_dlr_processor.rules import Kept
from sema_dlr_processor.store import Filed, Unread

log = get_logger()

RAW_KEPT = 4000
"""Characters of a raw report that are stored beside what was read in it."""


@dataclass(slots=True)
class Inbox:
    """What a batch of deliveries holds once it was read."""

    kept: list[Kept] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)
    rematch: list[tuple[UUID, datetime]] = field(default_factory=list)


@dataclass(slots=True)
class Applied:
    """What the transaction did: messages that moved, those that stay where they are, and of these the ones
    whose reports were handled before, so that nobody knows whether their fact was told.
    """

    moved: dict[UUID, MessageRow]
    standing: dict[UUID, MessageRow]
    handled_before: set[UUID] = field(default_factory=set)


class ReportHandler:
    """Handles `dlr.inbound`."""

    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._bus = bus

    async def handle(self, deliveries: list[Delivery[RawDlrs | RematchDlrs]]) -> None:
        """One batch: acknowledged once it is written and told."""
        inbox = open_inbox(deliveries)
        async with self._db.transaction() as tx:
            if inbox.rematch:
                inbox.kept += await store.read(tx, inbox.rematch)
            applied = await self._apply(tx, inbox)
        again = (applied.standing[i] for i in sorted(applied.handled_before & applied.standing.keys()))
        rows = [*applied.moved.values(), *(row for row in again if row.status in FINAL)]
        if rows:
            await self._tell(rows)
        for row in applied.moved.values():
            count(row)

    async def _apply(self, tx: Tx, inbox: Inbox) -> Applied:
        if inbox.unread:
            await store.quarantine(tx, inbox.unread)
            for unread in inbox.unread:
                metrics.QUARANTINED.labels(unread.aggregator).inc()
                log.warning("report_quarantined", aggregator=unread.aggregator, reason=unread.reason)
        submits = await messages.find_submits(tx, [one.key for one in inbox.kept]) if inbox.kept else {}
        by_message: defaultdict[UUID, list[Kept]] = defaultdict(list)
        for one in inbox.kept:
            if (message_id := submits.get(one.key)) is not None:
                by_message[message_id].append(one)
        applied = await self._move(tx, by_message)
        applied.handled_before = await self._file(tx, inbox.kept, submits, applied, by_message)
        return applied

    async def _move(self, tx: Tx, by_message: dict[UUID, list[Kept]]) -> Applied:
        wanted = [r for r in (rules.reported(i, kept) for i, kept in by_message.items()) if r is not None]
        undelivered = [r.message_id for r in wanted if r.status != "delivered"]
        payers = await store.refundable(tx, undelivered) if undelivered else {}
        if payers:
            await ledger.lock_balances(tx, payers.values())
        applied = await messages.apply_reports(tx, wanted) if wanted else {}
        moved = {message_id: one.row for message_id, one in applied.items()}
        for one in applied.values():
            if one.was in FINAL:
                metrics.LATE.labels(one.row.route or "").inc()
        if owed := [i for i in payers if i in moved]:
            metrics.REFUNDS.inc(len(await ledger.refund(tx, owed)))
        rest = [i for i in by_message if i not in moved]
        standing = await read_messages(tx, rest) if rest else {}
        return Applied(moved, standing)

    async def _file(
        self,
        tx: Tx,
        kept: Sequence[Kept],
        submits: dict[tuple[str, str], UUID],
        applied: Applied,
        by_message: dict[UUID, list[Kept]],
    ) -> set[UUID]:
        """Store every report with what became of it, and its note in the message's history.

        Answers the messages of reports that were filed before.
        """
        at = now()
        filed: list[Filed] = []
        notes: list[messages.Noted] = []
        for one in kept:
            message_id = submits.get(one.key)
            row = (
                None
                if message_id is None
                else applied.moved.get(message_id) or applied.standing.get(message_id)
            )
            if message_id is None or row is None:
                filed.append(Filed(one, None, "unmatched", rules.retry_at(one.received_at, at)))
                metrics.REPORTS.labels(one.aggregator, "unmatched").inc()
                continue
            result = rules.result(one, message_id in applied.moved, row.status)
            filed.append(Filed(one, message_id, "applied" if result == "applied" else "repeated", None))
            metrics.REPORTS.labels(one.aggregator, result).inc()
        for message_id, ones in by_message.items():
            row = applied.moved.get(message_id) or applied.standing.get(message_id)
            if row is not None:
                notes += rules.noted(row.tenant_id, message_id, ones, row.status)
        written = await store.keep(tx, filed) if filed else set()
        if notes:
            await messages.note_reports(tx, notes)
        return {f.message_id for f in filed if f.message_id is not None and f.kept.id not in written}

    async def _tell(self, rows: Sequence[MessageRow]) -> None:
        facts = [fact_of(row) for row in rows]
        outgoing = []
        for start in range(0, len(facts), MAX_FACTS):
            bundle = tuple(facts[start : start + MAX_FACTS])
            name = event_id("facts", *(fact.event_id for fact in bundle))
            outgoing.append(Outgoing("webhooks.outbound", Facts.model_construct(facts=bundle), name))
        for outcome in await self._bus.publish_many(outgoing):
            if outcome is not None:
                raise outcome


def open_inbox(deliveries: Sequence[Delivery[RawDlrs | RematchDlrs]]) -> Inbox:
    """Read every raw report of the batch; a row's id comes from its delivery and place, so it stays the same."""
    inbox = Inbox()
    for delivery in deliveries:
        if isinstance(delivery.message, RematchDlrs):
            inbox.rematch += [(one.id, one.received_at) for one in delivery.message.reports]
            continue
        for index, raw in enumerate(delivery.message.reports):
            read_raw(inbox, delivery.event_id, index, raw)
    return inbox


def read_raw(inbox: Inbox, delivery_id: UUID, index: int, raw: RawDlr) -> None:
    """Put one callback's reports into the inbox, or the callback into quarantine."""
    reader = READERS.get(raw.aggregator)
    found: Sequence[Report]
    reason = None
    if reader is None:
        found, reason = (), "no adapter of that name"
    else:
        try:
            found = reader.read_reports(RawReport(raw.content_type, raw.query, raw.body, raw.received_at))
        except Unreadable as unreadable:
            found, reason = unreadable.reports, unreadable.reason
    if reason is not None:
        name = event_id("quarantine", delivery_id, index)
        inbox.unread.append(
            Unread(name, raw.aggregator, reason, raw.content_type, raw.query, raw.body, raw.received_at)
        )
    text = raw.body.decode("utf-8", "replace").replace("\x00", "")[:RAW_KEPT] or raw.query[:RAW_KEPT]
    for place, report in enumerate(found):
        name = event_id("dlr", delivery_id, index, place)
        inbox.kept.append(Kept(name, raw.received_at, raw.aggregator, report, text))


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


def count(row: MessageRow) -> None:
    """Metrics of one message that moved."""
    metrics.STATUS.labels(row.route or "", row.mno or "", row.status).inc()
    if row.status == "delivered" and row.delivered_at is not None and row.sent_at is not None:
        metrics.LATENCY.labels(row.mno or "").observe((row.delivered_at - row.sent_at).total_seconds())
