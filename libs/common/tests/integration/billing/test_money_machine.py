"""Money as a state machine: random accepts, failures, refunds, adjustments, top-ups, campaigns, commissions, limits and
reports on real Postgres, with the connection cut at a random statement, against a model that is a dict.

Who pays: an account without a credit limit, one with (postpaid), and an agent for his customer. After every step the
books are audited by SQL of the test's own (`tests.kit.money`): I1 balance = Σ ledger, entry by entry; I2 no balance
below its limit; I3 one charge per message; I4 at most one refund, of the charge, after a failure; I6 one credit per
receipt; platform, agents and customers sum to zero. A check that cannot fail proves nothing: seeded bugs must turn it
red.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
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

from sema_common.billing import agents, ledger
from sema_common.messages.store import accepting, idempotency, reports
from sema_common.messages.store.accepting import NewMessage
from sema_common.messages.store.idempotency import KeptResponse, key_hash
from sema_common.messages.store.outcomes import Ended, record_ended
from sema_common.messages.store.reports import Reported
from sema_common.platform.db import CheckViolation, Tx
from sema_common.values.clock import now
from sema_common.values.ids import event_id, new_id
from tests.kit.fixtures import TestDatabase
from tests.kit.money import Bench, Work
from tests.kit.seeds import accept, new_message, open_account, open_customer, submit

CRASHES = st.one_of(st.none(), st.integers(0, 7))
"""At which statement the connection dies; None: not at all. 7 is later than any transaction is long."""

COSTS = st.lists(st.integers(0, 60_000).map(lambda n: Decimal(n) / 10_000), min_size=1, max_size=4)


@dataclass
class Message:
    """What the model knows of a message: who pays how much, and who owes how much to whom for it."""

    account: UUID
    payer: UUID
    cost: Decimal
    retail: Decimal
    failed: bool = False
    delivered: bool = False


@dataclass
class Model:
    """The truth in a few lines."""

    balances: dict[UUID, Decimal] = field(default_factory=dict)
    limits: dict[UUID, Decimal] = field(default_factory=dict)
    messages: dict[UUID, Message] = field(default_factory=dict)
    adjusted: set[UUID] = field(default_factory=set)
    topped_up: set[UUID] = field(default_factory=set)
    commission_paid: bool = False
    kept: dict[str, list[str]] = field(default_factory=dict)


LIMITS: Final = ("0", "5", "3")
AGENT, CUSTOMER = 2, 3
"""Places among the accounts."""
WHO, PAYER = st.integers(0, CUSTOMER), st.integers(0, AGENT)
COMMISSION: Final = Decimal("0.0500")
PLACES: Final = Decimal("0.0001")
EMPTIED: Final = (
    "billing.credit_ledger", "billing.agent_sales", "billing.agent_months", "billing.agent_accounts",
    "billing.agents", "orch.message_events", "orch.sms_messages", "billing.credits",
)  # fmt: skip


class MoneyMachine(RuleBasedStateMachine):
    """A prepaid account, a postpaid one, an agent and his customer; `bench` is put in place by the test."""

    bench: "Bench"
    accepted: Bundle[UUID] = Bundle("accepted")
    references: Bundle[UUID] = Bundle("references")

    @initialize(balances=st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20)))
    def begin(self, balances: tuple[int, int, int]) -> None:
        self.model = Model()

        async def open_all(tx: Tx) -> list[UUID]:
            for table in EMPTIED:
                await tx.execute(f"DELETE FROM {table}")
            opened = [
                await open_account(tx, balance=str(balance), credit_limit=limit)
                for balance, limit in zip(balances, LIMITS, strict=True)
            ]
            return [*opened, await open_customer(tx, opened[AGENT], commission=str(COMMISSION))]

        self.accounts = self.bench.as_owner(open_all)
        self.payers = [*self.accounts[:CUSTOMER], self.accounts[AGENT]]
        for account, balance, limit in zip(self.accounts[:CUSTOMER], balances, LIMITS, strict=True):
            self.model.balances[account] = Decimal(balance)
            self.model.limits[account] = Decimal(limit)

    def priced(self, who: int, cost: Decimal) -> NewMessage:
        """A message of this account; an agent's customer pays half as much again as his agent."""
        account, payer = self.accounts[who], self.payers[who]
        if who != CUSTOMER:
            return new_message(account, str(cost))
        retail = (cost * 3 / 2).quantize(PLACES, ROUND_HALF_UP)
        tenant: dict[str, Any] = {"tenant_id": payer, "billing_account_id": payer}
        return new_message(account, str(retail), wholesale=cost, **tenant)

    def fits(self, payer: UUID, cost: Decimal) -> bool:
        return self.model.balances[payer] + self.model.limits[payer] >= cost

    def charged(self, message: NewMessage) -> None:
        """The model pays for it."""
        payer = message.billing_account_id
        self.model.balances[payer] -= message.charged
        self.model.messages[message.message_id] = Message(
            message.account_id, payer, message.charged, message.cost
        )

    @rule(target=accepted, who=WHO, key=st.integers(0, 4), costs=COSTS, crash_at=CRASHES)
    def accept(self, who: int, key: int, costs: list[Decimal], crash_at: int | None) -> Any:
        """A request with an Idempotency-Key, tried again after a crash: charged once, for what fits."""
        account, payer = self.accounts[who], self.payers[who]
        hash_ = key_hash(account, str(key))
        messages = [self.priced(who, cost) for cost in costs]

        async def request(tx: Tx) -> list[str]:
            await ledger.lock_balances(tx, [payer])
            kept = await idempotency.find_kept(tx, [hash_], now())
            if hash_ in kept:
                ids: list[str] = kept[hash_].response_body["ids"]
                return ids
            fitting = await accept(tx, messages)
            body = {"ids": [str(m.message_id) for m in fitting]}
            until = now() + timedelta(hours=1)
            row = KeptResponse(hash_, payer, account, "batch", None, b"", 202, body, until)
            assert await idempotency.keep(tx, [row], now()) == {hash_}
            return body["ids"]

        ids = self.bench.as_api(request, crash_at)
        if hash_ in self.model.kept:
            assert ids == self.model.kept[hash_], "a key answers what it answered first"
            return multiple()
        expected = []
        for message in messages:
            if self.fits(payer, message.charged):
                self.charged(message)
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
            payer = self.model.messages[message_id].payer

            async def end(tx: Tx) -> None:
                await ledger.lock_balances(tx, [payer])
                record = Ended(message_id, 0, payer, "failed", "refused", "no", now())
                ended = await record_ended(tx, [record])
                if ended and not apart:
                    await ledger.refund(tx, ended)

            return end

        def refunding(message_id: UUID) -> Work[None]:
            async def refund(tx: Tx) -> None:
                await ledger.lock_balances(tx, [self.model.messages[message_id].payer])
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
                self.model.balances[message.payer] += message.cost

    @rule(message_id=accepted, crash_at=CRASHES)
    def deliver(self, message_id: UUID, crash_at: int | None) -> None:
        """Sent, and reported delivered, in time or late: no money moves, and it cannot fail any more."""
        message = self.model.messages[message_id]
        stored = replace(
            new_message(message.account, str(message.retail)), message_id=message_id, tenant_id=message.payer
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

    @rule(who=PAYER, reference=references, amount=st.integers(-6, 6), crash_at=CRASHES)
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

    @rule(who=PAYER, reference=references, amount=st.integers(1, 9), crash_at=CRASHES)
    def top_up(self, who: int, reference: UUID, amount: int, crash_at: int | None) -> None:
        """A receipt of M-Pesa, seen by both ways at the same time, and again after a crash."""
        account = self.accounts[who]

        async def credit(tx: Tx) -> None:
            await ledger.top_up(tx, account, Decimal(amount), reference)

        self.bench.as_api_twice(credit, crash_at)
        if reference not in self.model.topped_up:
            self.model.topped_up.add(reference)
            self.model.balances[account] += amount

    @rule(who=PAYER, limit=st.integers(0, 9), crash_at=CRASHES)
    def set_credit_limit(self, who: int, limit: int, crash_at: int | None) -> None:
        """Staff change how far a balance may fall; not to less than it has fallen already."""
        account = self.accounts[who]

        async def change(tx: Tx) -> None:
            await ledger.lock_balances(tx, [account])
            await ledger.set_credit_limit(tx, account, Decimal(limit))

        try:
            self.bench.as_api(change, crash_at)
        except CheckViolation:
            assert self.model.balances[account] + limit < 0
            return
        self.model.limits[account] = Decimal(limit)

    @rule(target=accepted, who=WHO, costs=COSTS, sent=st.integers(0, 4), crash_at=CRASHES)
    def campaign(self, who: int, costs: list[Decimal], sent: int, crash_at: int | None) -> Any:
        """Reserve for all recipients, charge the first ones out of it, give the rest back: each after a crash again."""
        payer, campaign = self.payers[who], new_id()
        messages = [self.priced(who, cost) for cost in costs]
        estimate = sum((m.charged for m in messages), Decimal(0))
        if not self.fits(payer, estimate):
            return multiple()

        async def reserve(tx: Tx) -> None:
            await ledger.reserve(tx, payer, estimate, campaign)

        async def expand(tx: Tx) -> None:
            balance = (await ledger.lock_balances(tx, [payer]))[payer]
            spent = [ledger.Spent(m.message_id, m.charged, m.volume, m.sale) for m in messages[:sent]]
            await ledger.charge_reserved(tx, balance, spent, event_id(campaign, 0))
            await accepting.insert_messages(tx, messages[:sent])

        async def release(tx: Tx) -> None:
            left = estimate - sum((m.charged for m in messages[:sent]), Decimal(0))
            await ledger.release(tx, payer, left, campaign)

        for step in (reserve, expand, release):
            self.bench.as_api(step, crash_at)
        for message in messages[:sent]:
            self.charged(message)
        return multiple(*(m.message_id for m in messages[:sent]))

    @rule(crash_at=CRASHES)
    def pay_commission(self, crash_at: int | None) -> None:
        """The agent's commission of this month, once, however often it is asked for: what he has earned by then."""
        agent = self.accounts[AGENT]
        month = datetime.now(UTC).date().replace(day=1)

        async def pay(tx: Tx) -> None:
            await ledger.lock_balances(tx, [agent])
            owed = (await agents.commissions_owed(tx, month, agent)).get(agent, Decimal(0))
            if owed > 0:
                await ledger.pay_commission(tx, agent, owed, month)

        self.bench.as_api_twice(pay, crash_at)
        if not self.model.commission_paid:
            sold = [
                m
                for m in self.model.messages.values()
                if m.account == self.accounts[CUSTOMER] and not m.failed
            ]
            earned = sum(((m.cost * COMMISSION).quantize(PLACES, ROUND_HALF_UP) for m in sold), Decimal(0))
            self.model.balances[agent] += earned
            self.model.commission_paid = earned > 0

    @rule(reference=consumes(references))
    def forget(self, reference: UUID) -> None:
        """References do not pile up."""

    @invariant()
    def the_books_are_right(self) -> None:
        found, balances = self.bench.audit()
        assert found == {}
        assert balances == self.model.balances


@pytest.fixture
def machine(database: TestDatabase) -> Iterator[type[MoneyMachine]]:
    """The machine on a database of its own."""
    bench = Bench(database)
    bench.open()
    yield type("Machine", (MoneyMachine,), {"bench": bench})
    bench.close()


HISTORIES: Final = 300
"""Random histories in every run, each of up to a dozen steps."""

PARTS: Final = 6
"""So that several workers share them."""

QUIET: Final = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@pytest.mark.parametrize("part", range(PARTS))
def test_money_is_right_whatever_happens(machine: type[MoneyMachine], part: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=HISTORIES // PARTS,
            stateful_step_count=12,
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
    "a sale stands although its message was refunded": {
        "SQL_REFUND": (
            "UPDATE billing.agent_sales s SET refunded_at = now()",
            "UPDATE billing.agent_sales s SET refunded_at = NULL",
        ),
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
