"""Accept is a group commit: whatever arrived while the last batch was committing is committed together.

One transaction charges, writes the messages with their first event and keeps the idempotent answers. An
account whose balance is locked elsewhere is set aside into a transaction of its own that waits its turn, so
it stalls nobody. When the answer to COMMIT is lost, nobody is answered before the ids were looked up.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Protocol, Self
from uuid import UUID

from sema_common.billing import agents, ledger
from sema_common.messages.store import accepting as messages
from sema_common.messages.store import idempotency
from sema_common.messages.store.accepting import NewMessage
from sema_common.platform.batching import GroupCommit, each_alone
from sema_common.platform.db import Database, Tx
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.values.errors import (
    OutcomeUnknown,
    Overloaded,
    Refused,
    RetryLater,
    StoreUnavailable,
)
from sema_main_api.http.store import find_suppressed
from sema_main_api.messaging import metrics
from sema_main_api.messaging.rules.crediting import Answer, Decided, Submission, decide

log = get_logger()

MAX_BATCH: Final = 500
"""Messages in one transaction: 14,000 rows/s were measured at 200, more only lengthens the wait of the first."""

MAX_WAITING: Final = 16_000
"""Messages in memory: at 8,000/s, as batches reach, the last one still gets its answer in two seconds."""

ACCEPT_SECONDS: Final = 3.0
"""Longest accept transaction. Who waits behind one that takes so long shares its failure (`SLOW_SECONDS`), and the
look-up after a lost COMMIT has what is left of 5 s: no request waits longer for its 503."""

SLOW_SECONDS: Final = 1.0
"""A transaction that failed after this long has met a store that does not answer, rather than one that has just come
back: the next one would fail as slowly."""

WAIT_FOR_LOCK_SECONDS: Final = 4.0
"""A little more than the role's lock_timeout of 3 s, which is what ends the wait."""

MAX_LOCK_WAITERS: Final = 4
"""Transactions that wait for busy balances at a time; the pool keeps connections for everybody else."""

LOOK_UP_SECONDS: Final = 1.9

Result = Answer | Refused
Deferred = asyncio.Future[Result]


class KeyTaken(RetryLater):
    """One submission of the batch lost its idempotency key to a call that was not of this batch."""


class Outlet(Protocol):
    """Where committed messages go; the relay in production."""

    def offer(self, messages: Sequence[NewMessage]) -> None: ...


class Accepting:
    """The one door to a durable message. `async with`: leaving it writes what is queued."""

    def __init__(self, db: Database, relay: Outlet) -> None:
        self._db = db
        self._relay = relay
        self._commits: GroupCommit[Submission, Result | Deferred] = GroupCommit(
            each_alone(self._commit, also=(KeyTaken,)),
            max_batch=MAX_BATCH,
            max_queue=MAX_WAITING,
            weigh=len,
            on_batch=metrics.ACCEPT_BATCH.observe,
        )
        self._busy: defaultdict[UUID, list[tuple[Submission, Deferred]]] = defaultdict(list)
        self._waiters: dict[UUID, asyncio.Task[None]] = {}
        self._may_wait = asyncio.Semaphore(MAX_LOCK_WAITERS)

    async def __aenter__(self) -> Self:
        await self._commits.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._commits.__aexit__(exc_type, exc, tb)
        await asyncio.gather(*self._waiters.values())

    async def accept(self, submission: Submission) -> Answer:
        """Commit the submission and answer it; Refused (402, 422) or RetryLater (503: nothing was charged).

        OutcomeUnknown is the one exception whose request may have been carried out.
        """
        result = await self._commits.submit(submission)
        if isinstance(result, asyncio.Future):
            result = await asyncio.shield(result)
        if isinstance(result, Refused):
            raise result
        return result

    async def _commit(self, submissions: list[Submission]) -> Sequence[Result | Deferred]:
        payers = {submission.asker.billing_account_id for submission in submissions}
        decided = Decided()
        taken: list[Submission] = []
        started = time.monotonic()
        try:
            async with self._db.transaction(ACCEPT_SECONDS) as tx:
                balances = await ledger.lock_free_balances(tx, payers)
                taken = [s for s in submissions if s.asker.billing_account_id in balances]
                decided = await self._write(tx, taken, balances)
            fault("api.after_commit")
        except OutcomeUnknown:
            self._turn_away_if_slow(started)
            await self._look_up(decided, balances)
        except StoreUnavailable:
            self._turn_away_if_slow(started)
            raise
        self._relay.offer(decided.accepted)
        if len(taken) == len(submissions):
            return decided.answers
        answers = iter(decided.answers)
        return [
            next(answers) if submission.asker.billing_account_id in balances else self._defer(submission)
            for submission in submissions
        ]

    def _turn_away_if_slow(self, started: float) -> None:
        if time.monotonic() - started > SLOW_SECONDS:
            self._commits.turn_away(StoreUnavailable("the database does not answer", after=1.0))

    @staticmethod
    async def _write(
        tx: Tx, submissions: Sequence[Submission], balances: dict[UUID, ledger.Balance]
    ) -> Decided:
        at = now()
        hashes = {s.key.hash for s in submissions if s.key is not None}
        kept = await idempotency.find_kept(tx, hashes, at) if hashes else {}
        fault("api.after_lock")
        suppressed = await find_suppressed(tx, _recipients(submissions))
        customers = {
            s.asker.account_id for s in submissions if s.asker.account_id != s.asker.billing_account_id
        }
        left = await agents.left_to_spend(tx, customers) if customers else {}
        decided = decide(submissions, balances, kept, at, suppressed, left)
        if decided.accepted:
            await ledger.charge(tx, decided.charges)
            fault("api.after_debit")
            await messages.insert_messages(tx, decided.accepted)
            fault("api.after_message")
        if decided.kept:
            held = await idempotency.keep(tx, decided.kept, at)
            if len(held) != len(decided.kept):
                raise KeyTaken("another call took this idempotency key in this very moment")
            fault("api.after_idem_claim")
        return decided

    async def _look_up(self, decided: Decided, balances: dict[UUID, ledger.Balance]) -> None:
        """After a lost answer to COMMIT: return if it happened, StoreUnavailable if not.

        Locking the same balances waits for the lost transaction to end, so what is seen then is final.
        """
        metrics.LOST_COMMITS.inc()
        if not decided.accepted:
            return
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                while True:
                    try:
                        async with self._db.transaction(LOOK_UP_SECONDS) as tx:
                            await ledger.lock_balances(tx, balances)
                            existing = await messages.find_existing(tx, decided.accepted[:1])
                        break
                    except RetryLater as exc:
                        log.warning("accept_look_up_failed", error=str(exc))
                        await asyncio.sleep(0.1)
        except TimeoutError:
            raise OutcomeUnknown("the database went away during the commit") from None
        if not existing:
            raise StoreUnavailable("the database went away before the commit", after=1.0)

    def _defer(self, submission: Submission) -> Deferred:
        """Set a submission aside whose balance is locked by somebody else."""
        payer = submission.asker.billing_account_id
        future: Deferred = asyncio.get_running_loop().create_future()
        if sum(len(each) for waiting in self._busy.values() for each, _ in waiting) >= MAX_WAITING:
            future.set_exception(Overloaded("too much waits for a busy balance", after=1.0))
            return future
        self._busy[payer].append((submission, future))
        metrics.DEFERRED.inc()
        if payer not in self._waiters:
            self._waiters[payer] = asyncio.create_task(self._wait_turn(payer))
        return future

    async def _wait_turn(self, payer: UUID) -> None:
        """Serve one busy account until nothing of it is left."""
        try:
            while self._busy[payer]:
                async with self._may_wait:
                    batch = self._busy[payer][:MAX_BATCH]
                    del self._busy[payer][:MAX_BATCH]
                    await self._commit_waiting(payer, batch)
        finally:
            del self._waiters[payer]
            if not self._busy[payer]:
                del self._busy[payer]

    async def _commit_waiting(self, payer: UUID, batch: list[tuple[Submission, Deferred]]) -> None:
        submissions = [submission for submission, _ in batch]
        decided = Decided()
        balances: dict[UUID, ledger.Balance] = {}
        try:
            try:
                async with self._db.transaction(WAIT_FOR_LOCK_SECONDS) as tx:
                    balances = await ledger.lock_balances(tx, [payer])
                    decided = await self._write(tx, submissions, balances)
            except OutcomeUnknown:
                await self._look_up(decided, balances)
        except Exception as exc:
            for _, future in batch:
                if not future.done():
                    future.set_exception(exc)
            return
        self._relay.offer(decided.accepted)
        for (_, future), answer in zip(batch, decided.answers, strict=True):
            if not future.done():
                future.set_result(answer)


def _recipients(submissions: Sequence[Submission]) -> list[tuple[UUID, str]]:
    """Who would write to whom: what opt-outs are looked up by."""
    return [(message.account_id, message.to) for each in submissions for message in each.messages]
