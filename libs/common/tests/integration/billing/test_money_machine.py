"""Money as a state machine: random accepts, failures, refunds, adjustments and reports on real Postgres, with
the connection cut at a random statement, against a model that is a dict.

After every step the books are audited by SQL of the test's own: I1 balance = Σ ledger, entry by entry; I2 no
balance below its limit; I3 one charge per message; I4 at most one refund, of the charge, after a failure.
A check that cannot fail proves nothing: seeded bugs must turn it red.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final, TypeAlias, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from sema_common.billing import ledger
from sema_common.messages.store import idempotency, reports
from sema_common.messages.store.idempotency import KeptResponse, key_hash
from sema_common.messages.store.outcomes import Ended, record_ended
from sema_common.messages.store.reports import Reported
from sema_common.platform.db import CheckViolation, Database, Tx
from sema_common.values.clock import now
from sema_common.values.errors import StoreUnavailable
from sema_common.values.ids import new_id
from tests.kit.fixtures import TestDatabase
from tests.kit.seeds import accept, new_message, open_account, submit

T = TypeVar("T")
Work: TypeAlias = Callable[[Tx], Awaitable[T]]

AUDIT: Final = {
    "I1 the balance is the sum of its entries": """
        SELECT c.account_id FROM billing.credits c LEFT JOIN billing.credit_ledger l USING (account_id)
        GROUP BY c.account_id, c.balance HAVING c.balance <> COALESCE(sum(l.amount), 0)""",
    "I1 every entry says what it left behind": """
        SELECT entry_id FROM (SELECT entry_id, balance_after,
            sum(amount) OVER (PARTITION BY account_id ORDER BY entry_id) AS running
            FROM billing.credit_ledger) AS l WHERE balance_after <> running""",
    "I2 no balance is below its limit": """
        SELECT account_id FROM billing.credits WHERE balance + credit_limit < 0""",
    "I3 every message has one charge, of its cost": """
        SELECT m.message_id FROM orch.sms_messages m LEFT JOIN billing.credit_ledger l
            ON l.reference = m.message_id AND l.kind = 'charge'
        GROUP BY m.message_id, m.cost HAVING count(l.amount) <> 1 OR sum(l.amount) <> -m.cost""",
    "I3 every charge has its message": """
        SELECT l.reference FROM billing.credit_ledger l LEFT JOIN orch.sms_messages m
            ON m.message_id = l.reference WHERE l.kind = 'charge' AND m.message_id IS NULL""",
    "I4 at most one refund, of the charge, after a failure": """
        SELECT r.reference FROM billing.credit_ledger r
        LEFT JOIN billing.credit_ledger c ON c.reference = r.reference AND c.kind = 'charge'
        LEFT JOIN orch.message_events e ON e.message_id = r.reference AND e.status IN ('failed', 'expired')
        WHERE r.kind = 'refund'
        GROUP BY r.reference HAVING count(DISTINCT r.entry_id) <> 1 OR count(c.entry_id) = 0
            OR count(e.event_key) = 0 OR max(r.amount) <> max(-c.amount)""",
}

CRASHES = st.one_of(st.none(), st.integers(0, 7))
"""At which statement the connection dies; None: not at all. 7 is later than any transaction is long."""

COSTS = st.lists(st.integers(0, 60_000).map(lambda n: Decimal(n) / 10_000), min_size=1, max_size=4)


class Fragile:
    """A transaction whose connection dies after `crash_at` more statements: sent, perhaps done, not committed."""

    def __init__(self, tx: Tx, crash_at: int | None) -> None:
        self._tx = tx
        self._left = crash_at

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call: Callable[..., Awaitable[Any]] = getattr(self._tx, name)

        async def counted(*args: Any) -> Any:
            if self._left == 0:
                self._tx.terminate()
            if self._left is not None:
                self._left -= 1
            return await call(*args)

        return counted

    async def commit_or_crash(self) -> None:
        """The last chance: everything was written, nothing is committed."""
        if self._left is not None and self._left <= 1:
            self._tx.terminate()
            raise StoreUnavailable("crashed before the commit")


@dataclass
class Message:
    """What the model knows of a message."""

    account: UUID
    cost: Decimal
    failed: bool = False
    delivered: bool = False


@dataclass
class Model:
    """The truth in a few lines."""

    balances: dict[UUID, Decimal] = field(default_factory=dict)
    limits: dict[UUID, Decimal] = field(default_factory=dict)
    messages: dict[UUID, Message] = field(default_factory=dict)
    adjusted: set[UUID] = field(default_factory=set)
    kept: dict[str, list[str]] = field(default_factory=dict)


class MoneyMachine(RuleBasedStateMachine):
    """One account without credit and one with; `bench` is put in place by the test."""

    bench: "Bench"
    accepted: Bundle[UUID] = Bundle("accepted")
    references: Bundle[UUID] = Bundle("references")

    @initialize(balances=st.tuples(st.integers(0, 20), st.integers(0, 20)))
    def begin(self, balances: tuple[int, int]) -> None:
        self.model = Model()

        async def open_both(tx: Tx) -> list[UUID]:
            await tx.execute("DELETE FROM billing.credit_ledger")
            await tx.execute("DELETE FROM orch.sms_messages")
            await tx.execute("DELETE FROM billing.credits")
            return [
                await open_account(tx, balance=str(balance), credit_limit=limit)
                for balance, limit in zip(balances, ("0", "5"), strict=True)
            ]

        self.accounts = self.bench.as_owner(open_both)
        for account, balance, limit in zip(self.accounts, balances, (0, 5), strict=True):
            self.model.balances[account] = Decimal(balance)
            self.model.limits[account] = Decimal(limit)

    @rule(target=accepted, who=st.integers(0, 1), key=st.integers(0, 4), costs=COSTS, crash_at=CRASHES)
    def accept(self, who: int, key: int, costs: list[Decimal], crash_at: int | None) -> Any:
        """A request with an Idempotency-Key, tried again after a crash: charged once, for what fits."""
        account = self.accounts[who]
        hash_ = key_hash(account, str(key))
        messages = [new_message(account, str(cost)) for cost in costs]

        async def request(tx: Tx) -> list[str]:
            await ledger.lock_balances(tx, [account])
            kept = await idempotency.find_kept(tx, [hash_], now())
            if hash_ in kept:
                ids: list[str] = kept[hash_].response_body["ids"]
                return ids
            fitting = await accept(tx, messages)
            body = {"ids": [str(m.message_id) for m in fitting]}
            until = now() + timedelta(hours=1)
            row = KeptResponse(hash_, account, account, "batch", None, b"", 202, body, until)
            assert await idempotency.keep(tx, [row], now()) == {hash_}
            return body["ids"]

        ids = self.bench.as_api(request, crash_at)
        if hash_ in self.model.kept:
            assert ids == self.model.kept[hash_], "a key answers what it answered first"
            return multiple()
        expected = []
        for message in messages:
            if self.model.balances[account] + self.model.limits[account] >= message.cost:
                self.model.balances[account] -= message.cost
                self.model.messages[message.message_id] = Message(account, message.cost)
                expected.append(str(message.message_id))
        self.model.kept[hash_] = expected
        assert ids == expected
        return multiple(*map(UUID, ids))

    @rule(
        message_ids=st.lists(accepted, min_size=1, max_size=3, unique=True),
        apart=st.booleans(),
        crash_at=CRASHES,
    )
    def fail(self, message_ids: list[UUID], apart: bool, crash_at: int | None) -> None:
        """Two workers end and refund each of these messages, all at the same time, and again after a crash.

        `apart`: the refund is a transaction of its own, as a repair by hand would be.
        """

        def ending(message_id: UUID) -> Work[None]:
            account = self.model.messages[message_id].account

            async def end(tx: Tx) -> None:
                await ledger.lock_balances(tx, [account])
                record = Ended(message_id, 0, account, "failed", "refused", "no", now())
                ended = await record_ended(tx, [record])
                if ended and not apart:
                    await ledger.refund(tx, ended)

            return end

        def refunding(message_id: UUID) -> Work[None]:
            async def refund(tx: Tx) -> None:
                await ledger.lock_balances(tx, [self.model.messages[message_id].account])
                await ledger.refund(tx, [message_id])

            return refund

        self.bench.as_workers([ending(i) for i in message_ids for _ in "ab"], crash_at)
        failing = [i for i in message_ids if not self.model.messages[i].delivered]
        if apart:
            self.bench.as_workers([refunding(i) for i in failing for _ in "ab"], crash_at)
        for message_id in failing:
            message = self.model.messages[message_id]
            if not message.failed:
                message.failed = True
                self.model.balances[message.account] += message.cost

    @rule(message_id=accepted, crash_at=CRASHES)
    def deliver(self, message_id: UUID, crash_at: int | None) -> None:
        """Sent, and reported delivered, in time or late: no money moves, and it cannot fail any more."""
        message = self.model.messages[message_id]
        stored = replace(
            new_message(message.account, str(message.cost)),
            message_id=message_id,
        )

        async def send(tx: Tx) -> None:
            await submit(tx, [stored])

        async def report(tx: Tx) -> None:
            await reports.apply_reports(tx, [Reported(message_id, "delivered", now(), None, {})])

        self.bench.as_workers([send], crash_at)
        self.bench.as_processor(report, crash_at)
        message.delivered = True

    @rule(target=references)
    def think_of_a_reference(self) -> UUID:
        return new_id()

    @rule(who=st.integers(0, 1), reference=references, amount=st.integers(-6, 6), crash_at=CRASHES)
    def adjust(self, who: int, reference: UUID, amount: int, crash_at: int | None) -> None:
        """Staff book a reference, perhaps again, perhaps for more than is there."""
        account = self.accounts[who]

        async def book(tx: Tx) -> None:
            await ledger.adjust(tx, account, Decimal(amount), reference, "adjustment")

        try:
            self.bench.as_api(book, crash_at)
        except CheckViolation:
            assert self.model.balances[account] + self.model.limits[account] + amount < 0
            return
        if reference not in self.model.adjusted:
            self.model.adjusted.add(reference)
            self.model.balances[account] += amount

    @rule(reference=consumes(references))
    def forget(self, reference: UUID) -> None:
        """References do not pile up."""

    @invariant()
    def the_books_are_right(self) -> None:
        found, balances = self.bench.audit()
        assert found == {}
        assert balances == self.model.balances


class Bench:
    """A database and its roles, for a test that is not a coroutine; connections live in a loop of its own."""

    def __init__(self, database: TestDatabase) -> None:
        self._loop = asyncio.new_event_loop()
        self._database = database
        self._pools: dict[str, Database] = {}
        self._stack = AsyncExitStack()

    def open(self) -> None:
        self._run(self._open())

    async def _open(self) -> None:
        dsns = {"owner": self._database.owner_dsn}
        for role in ("main_api_pipeline", "sms_worker_pipeline", "dlr_processor_pipeline"):
            dsns[role] = self._database.dsn(role)
        for name, dsn in dsns.items():
            pool = Database.open(dsn, name=name, max_size=6)
            self._pools[name] = await self._stack.enter_async_context(pool)

    def close(self) -> None:
        self._run(self._stack.aclose())
        self._loop.close()

    def as_owner(self, work: Work[T]) -> T:
        return self._run(self._once("owner", work, None))

    def as_api(self, work: Work[T], crash_at: int | None) -> T:
        return self._run(self._until_done("main_api_pipeline", work, crash_at))

    def as_processor(self, work: Work[T], crash_at: int | None) -> T:
        return self._run(self._until_done("dlr_processor_pipeline", work, crash_at))

    def as_workers(self, works: Sequence[Work[None]], crash_at: int | None) -> None:
        """All at the same time, each on a connection of its own."""

        async def together() -> None:
            await asyncio.gather(*(self._until_done("sms_worker_pipeline", work, crash_at) for work in works))

        self._run(together())

    def audit(self) -> tuple[dict[str, list[Any]], dict[UUID, Decimal]]:
        """What is wrong, by invariant; and every balance."""

        async def look(tx: Tx) -> tuple[dict[str, list[Any]], dict[UUID, Decimal]]:
            found = {name: [tuple(row) for row in await tx.fetch(sql)] for name, sql in AUDIT.items()}
            rows = await tx.fetch("SELECT account_id, balance FROM billing.credits")
            return {name: rows for name, rows in found.items() if rows}, {r[0]: r[1] for r in rows}

        return self._run(self._once("owner", look, None))

    def execute(self, sql: str) -> None:
        async def run(tx: Tx) -> None:
            await tx.execute(sql)

        self.as_owner(run)

    async def _until_done(self, role: str, work: Work[T], crash_at: int | None) -> T:
        """As its client or queue would: after a crash the same thing again."""
        try:
            return await self._once(role, work, crash_at)
        except StoreUnavailable:
            return await self._once(role, work, None)

    async def _once(self, role: str, work: Work[T], crash_at: int | None) -> T:
        async with self._pools[role].transaction() as tx:
            fragile = Fragile(tx, crash_at)
            result = await work(fragile)  # type: ignore[arg-type]  # stands in for the transaction
            await fragile.commit_or_crash()
            return result

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)


@pytest.fixture
def machine(database: TestDatabase) -> Iterator[type[MoneyMachine]]:
    """The machine on a database of its own."""
    bench = Bench(database)
    bench.open()
    yield type("Machine", (MoneyMachine,), {"bench": bench})
    bench.close()


QUIET: Final = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


def test_money_is_right_whatever_happens(machine: type[MoneyMachine]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=14,
            deadline=None,
            database=None,
            suppress_health_check=QUIET,
            print_blob=True,
        ),
    )


def without(sql: str, part: str, instead: str = "") -> str:
    assert part in sql, "the seeded bug is no longer where it was"
    return sql.replace(part, instead)


BUGS: Final = {
    "a message is charged twice": {
        "SQL_CHARGE": ("balance - total.cost", "balance - 2 * total.cost"),
    },
    "the ledger has no unique key": {
        "SQL_MOVE": ("ON CONFLICT (reference, kind) DO NOTHING", ""),
    },
    "a refund does not lock the balance": {
        "SQL_LOCK_BALANCES": ("FOR NO KEY UPDATE", ""),
    },
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_seeded_bug_is_found(
    machine: type[MoneyMachine], monkeypatch: pytest.MonkeyPatch, bug: str
) -> None:
    for name, (part, instead) in BUGS[bug].items():
        monkeypatch.setattr(ledger, name, without(getattr(ledger, name), part, instead))
    if "unique" in bug:
        machine.bench.execute("ALTER TABLE billing.credit_ledger DROP CONSTRAINT credit_ledger_pkey")
    with pytest.raises(Exception):  # noqa: B017, PT011 - an invariant, the model or the database objects
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=150,
                stateful_step_count=14,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                suppress_health_check=QUIET,
            ),
        )
