"""Random histories of payments with the connection cut at random statements: every payment is credited once.

What happened is drawn first (who paid what, by prompt and by hand); then it is told in any order, again and again, with
forged receipts among it, and whatever step is running may die at any statement. In the end the list has been read.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Final, cast

from sema_common.billing.payments import receipts, top_ups
from sema_common.billing.payments.receipts import Listed
from sema_common.billing.payments.top_ups import TopUp
from sema_common.platform.db import Database, Tx
from sema_common.values.clock import now
from sema_common.values.errors import RetryLater
from sema_common.values.ids import new_id
from sema_main_api.accounts.opening import Opened
from sema_main_api.payments import settling
from sema_main_api.payments.rules.daraja import Result
from sema_main_api.payments.rules.top_ups import account_reference

HISTORIES: Final = 60
UNIT: Final = timedelta(minutes=1)
MOST_STATEMENTS: Final = 9

Work = Callable[[Tx], Awaitable[object]]


class Fragile:
    """A transaction whose connection dies at one of its statements."""

    def __init__(self, tx: Tx, dies_at: int) -> None:
        self._tx = tx
        self._left = dies_at

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call: Callable[..., Awaitable[Any]] = getattr(self._tx, name)

        async def counted(*args: Any) -> Any:
            if self._left == 0:
                self._tx.terminate()
            self._left -= 1
            return await call(*args)

        return counted


async def attempt(db: Database, work: Work, rng: random.Random) -> None:
    """Done, or dead at any statement of it; whoever repeats it does no harm."""
    dies_at = rng.randrange(MOST_STATEMENTS) if rng.random() < 0.5 else 10**6
    try:
        async with db.transaction() as tx:
            await work(cast(Tx, Fragile(tx, dies_at)))
    except RetryLater:
        return


@dataclass
class History:
    """What has happened to one account's two top-ups, and what there is to be told of it."""

    rng: random.Random
    top_ups: list[TopUp]
    paid: list[Listed] = field(default_factory=list)
    steps: list[Work] = field(default_factory=list)

    def happen(self) -> None:
        for top_up in self.top_ups:
            if self.rng.random() < 0.7:
                own = self._pay(top_up.account_reference, top_up.amount)
                self.steps += [partial(self._ask, top_up, Result("paid", "0"))] * 2
                self.steps.append(partial(self._tell, top_up, own.receipt))
            else:
                self.steps.append(partial(self._ask, top_up, Result("not_paid", "1032", "cancelled")))
            if self.rng.random() < 0.3:
                self.steps.append(partial(self._tell, top_up, f"FORGED{self.rng.randrange(10**6):06}"))
            for _ in range(self.rng.randrange(3)):
                self._pay(top_up.account_reference, Decimal(self.rng.choice((100, 100, 70))))
        self._pay("NOBODY", Decimal(55))
        for payment in self.paid:
            self.steps += [partial(self._list, payment)] * self.rng.randrange(1, 3)
        self.steps += [self._settle] * 4
        self.rng.shuffle(self.steps)

    def _pay(self, reference: str, amount: Decimal) -> Listed:
        receipt = f"T{self.rng.randrange(10**9):09}"
        self.paid.append(Listed(receipt, amount, reference, "", now()))
        return self.paid[-1]

    async def _ask(self, top_up: TopUp, result: Result, tx: Tx) -> None:
        await settling.settle_asked(tx, top_up, result, now(), UNIT)

    async def _tell(self, top_up: TopUp, receipt: str, tx: Tx) -> None:
        found = await top_ups.lock(tx, top_up.id)
        await top_ups.set_told(tx, found.id, "ws_CO_" + found.id.hex, receipt, False, now())
        if found.status == "succeeded":
            await settling.tell_receipt(tx, found, receipt, now())

    async def _list(self, payment: Listed, tx: Tx) -> None:
        await receipts.put_listed(tx, [payment], now())

    async def _settle(self, tx: Tx) -> None:
        await settling.settle_listed(tx, now())


async def new_top_up(db: Database, account: Opened, rng: random.Random) -> TopUp:
    async with db.transaction() as tx:
        who = account.account_id
        reference = account_reference(rng.randbytes(16))
        return await top_ups.insert(
            tx, new_id(), who, who, Decimal(100), "KES", "+254712345678", reference, now()
        )


async def test_every_payment_is_credited_once_whatever_dies_in_whatever_order(
    pipeline: Database, owner: Database, open_: Callable[..., Awaitable[Opened]]
) -> None:
    seed = random.randrange(10**9)
    print(f"seed {seed}")
    for number in range(HISTORIES):
        rng = random.Random(f"{seed} {number}")
        account = await open_()
        history = History(rng, [await new_top_up(pipeline, account, rng) for _ in range(2)])
        history.happen()
        for step in history.steps:
            await attempt(pipeline, step, rng)
        async with pipeline.transaction() as tx:
            await receipts.put_listed(tx, history.paid, now())
        settled = True
        while settled:
            async with pipeline.transaction() as tx:
                settled = await settling.settle_listed(tx, now()) is not None
        entries = await owner.fetch(
            "SELECT reference, amount FROM billing.credit_ledger WHERE account_id = $1 AND kind = 'top_up'",
            account.account_id,
        )
        ours = [payment.amount for payment in history.paid if payment.bill_reference != "NOBODY"]
        assert sorted(entry["amount"] for entry in entries) == sorted(ours), f"history {number}"
        rows = await owner.fetch(
            "SELECT receipt, reference, amount, state FROM billing.mpesa_payments WHERE receipt = ANY($1)",
            [payment.receipt for payment in history.paid],
        )
        credited = {(row["reference"], row["amount"]) for row in rows if row["state"] == "credited"}
        assert credited == {(entry["reference"], entry["amount"]) for entry in entries}, f"history {number}"
        assert [row["amount"] for row in rows if row["state"] == "unassigned"] == [Decimal(55)]
        balance = await owner.fetchval(
            "SELECT balance FROM billing.credits WHERE account_id = $1", account.account_id
        )
        assert balance == 100 + sum(ours)
