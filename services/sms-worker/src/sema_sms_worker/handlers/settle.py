"""Claims that nobody finished, and doubts: what `rules.doubt` says is recorded, then its job or fact published.

The sweep enqueues an attempt again and again until it is done, so every step here may be repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sema_common.billing import ledger
from sema_common.messages.ending import Ending, Endings
from sema_common.messages.status import Status
from sema_common.messages.store import attempts as orch
from sema_common.messages.store.attempts import Attempt, AttemptKey
from sema_common.messages.store.outcomes import Ended, Unfinished, record_unfinished
from sema_common.messages.store.reading import lock_status, read_messages
from sema_common.messages.store.rows import MessageRow
from sema_common.platform.bus import Bus, Outgoing
from sema_common.platform.db import Database, Tx
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values import clock
from sema_common.wire.queues import LANE_QUEUES
from sema_common.wire.sms import SettleAttempt, SettleAttempts, SmsJobs, jobs_id
from sema_common.wire.webhook import Fact
from sema_sms_worker import metrics
from sema_sms_worker.handlers.gathering import Gathering, count, end
from sema_sms_worker.handlers.hands import Hands
from sema_sms_worker.rules import doubt
from sema_sms_worker.rules import facts as told
from sema_sms_worker.rules.outcomes import RetryPolicy

log = get_logger()


@dataclass(frozen=True, slots=True)
class _Case:
    """One attempt with its message, and what to do about it."""

    asked: SettleAttempt
    message: MessageRow
    status: Status
    attempt: Attempt | None
    step: doubt.Step

    @property
    def key(self) -> AttemptKey:
        return (self.asked.message_id, self.asked.attempt)


class Settle:
    """The handler of SettleAttempts, the same for both lanes: the attempt says which policy holds."""

    def __init__(
        self,
        db: Database,
        bus: Bus,
        gathering: Gathering,
        hands: Hands,
        policy: RetryPolicy,
        lease: timedelta,
    ) -> None:
        self._db = db
        self._bus = bus
        self._gathering = gathering
        self._hands = hands
        self._policy = policy
        self._lease = lease

    async def handle(self, asked: Sequence[SettleAttempts]) -> None:
        wanted = {(a.message_id, a.attempt): a for message in asked for a in message.attempts}
        for key in wanted.keys() & self._hands.attempts:
            del wanted[key]  # its outcome is on its way in this very process; the sweep comes back
        if not wanted:
            return
        now = clock.now()
        async with self._db.transaction() as tx:
            cases = await self._judge(tx, wanted, now)
            facts, endings = await self._record(tx, cases, now)
            fault("settle.before_commit")
        fault("settle.after_commit")
        count(endings)
        for case in cases:
            _note(case)
        await self._resend([case for case in cases if case.step.what == "resend"])
        await self._gathering.tell(facts)
        fault("settle.before_ack")

    async def _judge(self, tx: Tx, wanted: dict[AttemptKey, SettleAttempt], now: datetime) -> list[_Case]:
        """The attempts, locked against their own worker's late outcome, each with its next step."""
        ids = sorted({message_id for message_id, _ in wanted})
        messages = await read_messages(tx, ids)
        await ledger.lock_balances(tx, {message.billing_account_id for message in messages.values()})
        statuses = await lock_status(tx, ids)
        # An update is a lock: from here on an attempt is as it is read. It also keeps the sweep away meanwhile.
        await orch.set_due(tx, [(key, now + doubt.LOOK_AGAIN) for key in wanted])
        attempts = await orch.read_attempts(tx, ids)
        cases: list[_Case] = []
        for (message_id, number), asked in wanted.items():
            if message_id not in statuses:
                log.error("attempt_without_message", message_id=str(message_id))
                continue
            message, status, made = messages[message_id], statuses[message_id], attempts.get(message_id, [])
            step = doubt.settle(
                made, number, status, message.valid_until, now, self._lease, self._policy.hold
            )
            attempt = next((a for a in made if a.attempt == number), None)
            cases.append(_Case(asked, message, status, attempt, step))
        return cases

    async def _record(self, tx: Tx, cases: Sequence[_Case], now: datetime) -> tuple[list[Fact], Endings]:
        """Write the steps; the facts of messages that ended, now or before, and what ended now."""
        due = [(c.key, c.step.until) for c in cases if c.step.what in ("wait", "done", "resend")]
        if due:
            await orch.set_due(tx, due)
        unfinished = [self._unfinished(c, now) for c in cases if c.step.what in ("doubt", "resend")]
        if unfinished:
            await record_unfinished(tx, unfinished)
        facts = [
            fact
            for c in cases
            if c.step.what == "done" and c.attempt is not None
            if (fact := told.retold(c.message, c.attempt, c.status)) is not None
        ]
        failing = {c.asked.message_id: (c, _failed(c, now)) for c in cases if c.step.what == "fail"}
        endings = await end(
            tx, [Ending(record, c.message.billing_account_id) for c, record in failing.values()]
        )
        facts += [
            told.ended(c.message, record) for i, (c, record) in failing.items() if i in endings.standing
        ]
        return facts, endings

    @staticmethod
    def _unfinished(case: _Case, now: datetime) -> Unfinished:
        message_id, number = case.key
        tenant_id = case.message.tenant_id
        if case.step.what == "doubt":
            return Unfinished(
                message_id, number, tenant_id, "in_doubt", *doubt.WORKER_LOST, now, case.step.until
            )
        return Unfinished(message_id, number, tenant_id, "settled", *doubt.RESENT, now, None)

    async def _resend(self, cases: Sequence[_Case]) -> None:
        """Publish the next attempt of each, whether or not that happened before: its claim is unique.

        Bound to the aggregator of the doubt: to any other one it could be a second message.
        """
        outgoing = []
        for case in cases:
            assert case.attempt is not None
            job = case.message.job(case.message.queued_at or case.message.created_at, case.asked.attempt + 1)
            job = job.model_copy(update={"only_via": case.attempt.aggregator})
            outgoing.append(
                Outgoing(LANE_QUEUES[job.lane], SmsJobs(jobs=(job,)), jobs_id([job]), job.traceparent)
            )
        for failed in await self._bus.publish_many(outgoing):
            if failed is not None:
                raise failed


def _note(case: _Case) -> None:
    """Count and log a step that is committed."""
    metrics.SETTLED.labels(case.step.what).inc()
    if case.step.what != "done":
        log.info(
            f"attempt_{case.step.what}",
            message_id=str(case.message.message_id),
            account_id=str(case.message.account_id),
            attempt=case.asked.attempt,
            lane=case.message.lane,
        )


def _failed(case: _Case, now: datetime) -> Ended:
    assert case.attempt is not None
    message_id, number = case.key
    return Ended(
        message_id,
        number,
        case.message.tenant_id,
        "failed",
        *doubt.UNCONFIRMED,
        now,
        case.attempt.aggregator,
    )
