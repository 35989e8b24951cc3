"""One batch of reports: read, match, move, file, tell.

Everything is written in one transaction, keyed so that a repeat is a no-op, and told after the commit with
ids derived from message and status. A batch that is handled again, for whatever reason (redelivered, tried
again after the broker was away, sent back by staff), is known by its reports, which are filed already: it
changes nothing, counts nothing, and repeats its telling.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from datetime import datetime, timedelta
from uuid import UUID

from sema_common.billing import ledger
from sema_common.messages.status import FINAL, Status
from sema_common.messages.store import reports as messages
from sema_common.messages.store.optouts import OptOut, suppress
from sema_common.messages.store.reading import read_messages
from sema_common.messages.store.rows import MessageRow
from sema_common.messages.view import of_row, status_fact
from sema_common.platform import telemetry
from sema_common.platform.bus import Bus, Delivery, Outgoing
from sema_common.platform.db import Database, Tx
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.wire.queues import WEBHOOKS_OUTBOUND
from sema_common.wire.webhook import Fact, bundle_facts
from sema_dlr_processor import metrics, rules, store
from sema_dlr_processor.clients import Deliveries
from sema_dlr_processor.matching import Case, Matched, match
from sema_dlr_processor.reading import Inbound, Unread, open_inbox, set_aside
from sema_dlr_processor.store import Filed

log = get_logger()


class ReportHandler:
    """Handles `dlr.inbound`. `no_report`: how long after its submit a message waits for a report."""

    def __init__(
        self, db: Database, bus: Bus, no_report: timedelta, deliveries: Deliveries | None = None
    ) -> None:
        self._db = db
        self._bus = bus
        self._no_report = no_report
        self._deliveries = deliveries

    async def handle(self, deliveries: list[Delivery[Inbound]]) -> None:
        """One batch: acknowledged once it is written and told."""
        inbox = open_inbox(deliveries)
        async with self._db.transaction() as tx:
            kept = inbox.kept + await store.read(tx, inbox.stored)
            matched = await match(tx, kept, inbox.overdue)
            aside = [set_aside(one, reason) for one, reason in matched.foreign]
            unread = await store.quarantine(tx, [*inbox.unread, *aside])
            fault("dlr.after_match")
            await move(tx, matched.cases, self._no_report)
            fault("dlr.after_transition")
            filed = await file(tx, matched)
            fault("dlr.before_commit")
        fault("dlr.before_webhook_enqueue")
        count(unread, filed, matched.cases.values())
        if self._deliveries is not None:
            ended = [c.row for c in matched.cases.values() if c.row and c.was and not c.is_unreported]
            self._deliveries.note(ended)
        await self._tell([fact_of(c.row) for c in matched.cases.values() if c.row and c.is_to_be_told])
        fault("dlr.before_ack")

    async def _tell(self, facts: Sequence[Fact]) -> None:
        outgoing = [Outgoing(WEBHOOKS_OUTBOUND, bundle, name) for bundle, name in bundle_facts(facts)]
        for outcome in await self._bus.publish_many(outgoing):
            if outcome is not None:
                raise outcome


async def move(tx: Tx, cases: dict[UUID, Case], no_report: timedelta) -> None:
    """Move each message to the highest status reported of it, if that climbs; end what nothing was reported of.

    Whom the policy says is refunded, at once or when a soft failure has become certain.
    """
    at = now()
    unreported = await _unreported(tx, cases, at - no_report)
    wanted: list[messages.Reported] = []
    for message_id, case in cases.items():
        said = rules.reported(message_id, case.reports)
        if said is None and message_id in unreported:
            said = rules.no_report(message_id, at, no_report)
        if said is not None:
            wanted.append(said)
    undelivered = [reported.message_id for reported in wanted if reported.status != "delivered"]
    payers = await store.refundable(tx, undelivered) if undelivered else {}
    uncertain = [*undelivered, *(i for i, case in cases.items() if case.overdue and i not in unreported)]
    waiting = await store.withheld(tx, uncertain) if uncertain else {}
    payers |= waiting
    if payers:
        await ledger.lock_balances(tx, payers.values())
    moved = await messages.apply_reports(tx, wanted) if wanted else {}
    rest = [message_id for message_id in cases if message_id not in moved]
    standing = await read_messages(tx, rest) if rest else {}
    for message_id, case in cases.items():
        if (climbed := moved.get(message_id)) is not None:
            case.row, case.was = climbed.row, climbed.was
        else:
            case.row = standing.get(message_id)
    await _refund(tx, cases, payers, waiting.keys(), no_report, at)


async def _unreported(tx: Tx, cases: dict[UUID, Case], sent_before: datetime) -> set[UUID]:
    """Which of the overdue messages are still without a word, and were sent that long ago."""
    overdue = [message_id for message_id, case in cases.items() if case.overdue]
    rows = await read_messages(tx, overdue) if overdue else {}
    return {
        i for i, row in rows.items() if row.status == "sent" and row.sent_at and row.sent_at <= sent_before
    }


async def _refund(
    tx: Tx,
    cases: dict[UUID, Case],
    payers: dict[UUID, UUID],
    waiting: Set[UUID],
    no_report: timedelta,
    at: datetime,
) -> None:
    """Refund what has just ended undelivered, or let it wait; decide what has waited. `payers`: whose policy it is."""
    owed: set[UUID] = set()
    withheld: dict[UUID, tuple[UUID, datetime]] = {}
    late: set[UUID] = set()
    for message_id, case in cases.items():
        row = case.row
        if row is None or row.status == "delivered":
            if case.was in FINAL or case.overdue:
                late.add(message_id)
        elif message_id in payers and row.status in FINAL and (case.was is not None or message_id in waiting):
            due = rules.refund_due(case.reports, row.status, row.sent_at or row.status_at, no_report)
            if due <= at:
                owed.add(message_id)
            else:
                withheld[message_id] = (payers[message_id], due)
    refunded = await ledger.refund(tx, owed) if owed else set()
    if withheld:
        await store.withhold(tx, withheld)
    if late or owed & waiting:
        await store.decided(tx, late | owed)
    kept = await ledger.refunded(tx, late) if late else set()
    for message_id, case in cases.items():
        case.refunded = message_id in refunded or (message_id in kept and case.was is not None)
        case.withheld = message_id in withheld and message_id not in waiting


async def file(tx: Tx, matched: Matched) -> list[Filed]:
    """Store every report with what became of it, its note in the message's history, and who has opted out by it;
    answers what is new.

    A message that is archived is as good as a stranger's.
    """
    at = now()
    filed: list[Filed] = [Filed(one, None, "foreign") for one, _ in matched.foreign]
    notes: list[messages.Noted] = []
    unmatched = list(matched.strangers)
    for message_id, case in matched.cases.items():
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
            matched.cases[each.message_id].handled_before = True
    new = [each for each in filed if each.kept.row in written]
    if opted_out := list(_opted_out(matched, new)):
        await suppress(tx, opted_out)
    return new


def _opted_out(matched: Matched, new: Iterable[Filed]) -> Iterator[OptOut]:
    """Who wants no promotions any more, by reports that were not filed before: what was lifted since stays lifted."""
    for each in new:
        report = each.kept.report
        row = matched.cases[each.message_id].row if report.suppress and each.message_id else None
        if row is not None:
            code = report.error_code or report.description
            yield OptOut(row.tenant_id, row.account_id, row.to, each.kept.aggregator, code)


def count(unread: Iterable[Unread], filed: Iterable[Filed], cases: Iterable[Case]) -> None:
    """Metrics of one commit: of what it wrote, so that a second try of the batch counts nothing twice."""
    for body in unread:
        metrics.QUARANTINED.labels(body.aggregator).inc()
        log.warning("report_quarantined", aggregator=body.aggregator, reason=body.reason)
    for each in filed:
        metrics.REPORTS.labels(each.kept.aggregator, each.result).inc()
        if each.kept.report.suppress and each.message_id is not None:
            metrics.OPTED_OUT.labels(each.kept.aggregator).inc()
    for case in cases:
        metrics.WITHHELD.inc(case.withheld)
        if (row := case.row) is None:
            continue
        (metrics.REFUNDED_THEN_DELIVERED if row.status == "delivered" else metrics.REFUNDS).inc(case.refunded)
        if case.was is None:
            continue
        metrics.STATUS.labels(row.route or "", row.mno or "", row.status).inc()
        if case.is_unreported:
            metrics.NO_REPORT.labels(row.route or "", row.mno or "").inc()
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
