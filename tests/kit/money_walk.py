"""Walks through every movement of money on a real database, and writes down the ledger lines that it made.

`docs/money.md` is what `walk` answers; a test compares the two.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sema_common.billing import agents, ledger
from sema_common.messages.ending import Ending, end_messages
from sema_common.messages.store.accepting import NewMessage, insert_messages
from sema_common.messages.store.outcomes import Ended
from sema_common.platform.db import Database, Tx
from sema_common.values.ids import event_id, new_id
from tests.kit.seeds import accept, new_message, open_account, open_customer

SQL_LINES: Final = """
SELECT entry_id, account_id, kind, amount, counter_account, reference, balance_after
FROM billing.credit_ledger WHERE entry_id > $1 ORDER BY entry_id
"""
SQL_SALE: Final = """
SELECT segments, retail, wholesale, retail - wholesale AS margin, commission, refunded_at IS NOT NULL AS refunded
FROM billing.agent_sales WHERE message_id = $1
"""
SQL_TRIAL: Final = """
SELECT counter_account, -sum(amount) AS amount FROM billing.credit_ledger GROUP BY 1 ORDER BY 1
"""

HEAD: Final = """# Money, line by line

Made from a real run by `tests/kit/money_walk.py`; `test_money_walk.py` compares it. Do not edit it: change the walk.

A **ledger entry** is one side of a transfer: `amount` reaches the account (below zero: it leaves it), and the
counter-account moves by the opposite. An entry is unique by kind and reference, is never changed, and says what balance
it left behind. Whoever writes one holds the lock of the balance, so an account's entries are one after another, and
`balance = Σ amount` and `balance + credit limit ≥ 0` hold at every commit; the database refuses anything else.

Prices are of a segment, at four places; VAT is inside what was prepaid and on top of what is owed
([decision 15](adr/0015-vat-is-inside-what-was-prepaid.md)). `sema_common.billing.prices` decides them in one
pure function (`PriceList.rate`), which also says which rule decided: the account's own price before the common one,
one for the
network before the country's, one for the tier, one for the account type, the higher monthly volume, the younger. A
message bears the price that it found: quote, charge and invoice are the same number. Why volumes and balances are read
as they are is in [decision 13](adr/0013-balances-are-read-from-postgres.md).
"""


@dataclass
class Walk:
    """What was written down so far; `names` says what an id stands for."""

    db: Database
    names: dict[UUID, str] = field(default_factory=dict)
    text: list[str] = field(default_factory=lambda: [HEAD])
    last: int = 0
    number: int = 0

    def named(self, name: str, id_: UUID | None = None) -> UUID:
        """An id (a new one, unless it is given) that is called so in the tables."""
        id_ = id_ or new_id()
        self.names[id_] = name
        return id_

    async def step(self, title: str, prose: str, work: Callable[[Tx], Awaitable[Any]]) -> Any:
        """Do it in one transaction, and show the entries that it made."""
        async with self.db.transaction() as tx:
            done = await work(tx)
            rows = await tx.fetch(SQL_LINES, self.last)
        self.text.append(f"\n## {title}\n\n{prose.strip()}\n")
        if rows:
            self.table(
                ("entry", "account", "kind", "amount", "counter-account", "about", "balance after"),
                [
                    (
                        str(self.number + place),
                        self.names[row["account_id"]],
                        row["kind"],
                        f"{row['amount']:+.4f}",
                        row["counter_account"],
                        self.names[row["reference"]],
                        f"{row['balance_after']:.4f}",
                    )
                    for place, row in enumerate(rows, 1)
                ],
            )
            self.last = rows[-1]["entry_id"]
            self.number += len(rows)
        else:
            self.text.append("\nNo entry.\n")
        return done

    def table(self, header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        lines = [header, ("---",) * len(header), *rows]
        self.text.append("\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n")

    async def sale(self, message_id: UUID) -> None:
        """The retail level of a message."""
        async with self.db.transaction() as tx:
            row = await tx.fetchrow(SQL_SALE, message_id)
        assert row is not None
        amounts = [f"{row[name]:.4f}" for name in ("retail", "wholesale", "margin", "commission")]
        header = ("sale of", "segments", "retail", "wholesale", "margin", "commission", "refunded")
        refunded = "yes" if row["refunded"] else "no"
        self.table(header, [(self.names[message_id], str(row["segments"]), *amounts, refunded)])


async def walk(db: Database) -> str:
    """The whole page. `db` is a pool of `main_api_pipeline` on a fresh database."""
    book = Walk(db)
    await _prepaid(book)
    await _campaign(book)
    await _postpaid(book)
    await _agent(book)
    await _sum(book)
    return "".join(book.text)


async def _ended(tx: Tx, message: NewMessage) -> None:
    record = Ended(
        message.message_id, 1, message.tenant_id, "failed", "refused", "no such number", datetime.now(UTC)
    )
    await end_messages(tx, [Ending(record, message.billing_account_id)], "sms-worker")


async def _prepaid(book: Walk) -> None:
    async def top_up(tx: Tx) -> UUID:
        account = await open_account(tx)
        book.named("Duka", account)
        await ledger.top_up(tx, account, Decimal(500), book.named("top-up 1"))
        return account

    duka: UUID = await book.step(
        "A top-up",
        "M-Pesa has said that 500 KES came. The same receipt seen again finds its entry and moves nothing.",
        top_up,
    )
    message = new_message(duka, "1.6000", segments=2)
    book.named("message 1", message.message_id)
    await book.step(
        "A message is accepted",
        "Two segments at 0.8000. The charge, the message and its first event are one commit: what was not paid for does"
        "\nnot exist. A batch of messages is one commit too, with an entry each.",
        lambda tx: accept(tx, [message]),
    )
    await book.step(
        "It was never submitted",
        "The aggregator refuses it: it fails, and its charge is given back in the same commit, at most once, whoever"
        "\nasks how often. A failed *report* gives nothing back, unless the account has `refund_undelivered`.",
        lambda tx: _ended(tx, message),
    )
    await book.step(
        "Staff adjust",
        "`POST /v1/admin/accounts/{id}/adjustments`, with a reason that stands in the audit log beside the"
        "\nbalance before and after.",
        lambda tx: ledger.adjust(tx, duka, Decimal("-12.5"), book.named("adjustment 1"), "adjustment"),
    )


async def _campaign(book: Walk) -> None:
    duka = next(id_ for id_, name in book.names.items() if name == "Duka")
    campaign = book.named("campaign 1")
    made = [new_message(duka, "0.8000") for _ in range(2)]
    for place, message in enumerate(made, 2):
        book.named(f"message {place}", message.message_id)
    chunk = book.named("campaign 1, chunk 1", event_id(campaign, 1))
    await book.step(
        "A campaign is submitted",
        "To three recipients, at 0.8000 each: the bound that its cost cannot exceed is set aside at once.",
        lambda tx: ledger.reserve(tx, duka, Decimal("2.4"), campaign),
    )

    async def expand(tx: Tx) -> None:
        payer = (await ledger.lock_balances(tx, [duka]))[duka]
        spent = [ledger.Spent(m.message_id, m.charged, m.volume) for m in made]
        await ledger.charge_reserved(tx, payer, spent, chunk)
        await insert_messages(tx, made)

    await book.step(
        "Its messages are made, chunk by chunk",
        "What a chunk costs is released and charged in one commit, so that the balance stays where it is.",
        expand,
    )
    await book.step(
        "It ends, or is cancelled",
        "The third recipient has opted out meanwhile: what is left is returned, once.",
        lambda tx: ledger.release(tx, duka, Decimal("0.8"), campaign),
    )


async def _postpaid(book: Walk) -> None:
    async def open_bank(tx: Tx) -> UUID:
        bank = await open_account(tx, credit_limit="5")
        return book.named("Bank", bank)

    bank: UUID = await book.step(
        "A postpaid account",
        "The same account with a credit limit, which staff set (`PATCH /v1/admin/accounts/{id}`): 5 KES. A limit is no"
        "\nmovement.",
        open_bank,
    )
    message, another = (new_message(bank, "3.5000", country="UG", mno="MTN") for _ in "ab")
    book.named("message 4", message.message_id)
    await book.step(
        "It owes",
        "The balance falls below zero, down to its limit.",
        lambda tx: accept(tx, [message]),
    )
    await book.step(
        "Beyond the limit nothing is sold",
        "Another message of 3.5000 would leave -7.0000: 402 `insufficient_credit`.",
        lambda tx: accept(tx, [another]),
    )
    await book.step(
        "It pays",
        "An invoice that was paid by M-Pesa is a top-up like any other.",
        lambda tx: ledger.top_up(tx, bank, Decimal("3.5"), book.named("top-up 2")),
    )


async def _agent(book: Walk) -> None:
    async def open_agent(tx: Tx) -> tuple[UUID, UUID]:
        agent = book.named("Agent", await open_account(tx))
        customer = await open_customer(tx, agent, commission="0.0500")
        await ledger.top_up(tx, agent, Decimal(100), book.named("top-up 3"))
        return agent, customer

    agent, customer = await book.step(
        "An agent",
        "He buys at his wholesale price, 0.5000 a segment, and has agreed on a commission of 5 % of it. His customer,"
        "\nCafe, has no balance: it is billed to him, at the rate that he has set, 1.2000.",
        open_agent,
    )
    own = {"tenant_id": agent, "billing_account_id": agent, "wholesale": Decimal("0.5000")}
    sold, failing = (new_message(customer, "1.2000", **own) for _ in "ab")
    for place, message in ((5, sold), (6, failing)):
        book.named(f"message {place}", message.message_id)
    await book.step(
        "His customer sends",
        "The agent is charged wholesale. What the customer owes him is written beside it, in the same commit: retail,"
        "\nmargin and commission of each message (`billing.agent_sales`), and their sums by month"
        "\n(`billing.agent_months`), by which the customer's limit is checked. The `cost` of the message is what the"
        "\ncustomer pays: 1.2000.",
        lambda tx: accept(tx, [sold, failing]),
    )
    await book.sale(sold.message_id)
    await book.step(
        "One of them fails",
        "Refunded on both levels: the agent gets his 0.5000 back, and the customer owes nothing for it.",
        lambda tx: _ended(tx, failing),
    )
    await book.sale(failing.message_id)
    month = datetime.now(UTC).date().replace(day=1)
    book.named("commissions of the month", event_id("commission", agent, month))

    async def pay(tx: Tx) -> None:
        await ledger.lock_balances(tx, [agent])
        owed = (await agents.commissions_owed(tx, month, agent))[agent]
        await ledger.pay_commission(tx, agent, owed, month)

    await book.step(
        "His month is over",
        "What he has earned up to then and was not paid is credited, once for a month. A refund that comes later is set"
        "\noff against the months that follow.",
        pay,
    )


async def _sum(book: Walk) -> None:
    async with book.db.transaction() as tx:
        balances = await tx.fetch("SELECT account_id, balance FROM billing.credits ORDER BY account_id")
        counters = await tx.fetch(SQL_TRIAL)
    rows = [(book.names[row["account_id"]], row["balance"]) for row in balances]
    rows += [(f"*{row['counter_account']}*", row["amount"]) for row in counters]
    book.text.append(
        "\n## It all sums to zero\n\nEvery account with what it has, and every counter-account with what moved to it:\n"
        "`revenue` is what we earned, `mpesa_clearing` what M-Pesa owes us, `commissions` and `adjustments` what we\n"
        "gave.\n"
    )
    total = sum((amount for _, amount in rows), Decimal(0))
    book.table(
        ("account or counter-account", "KES"),
        [*((name, f"{amount:+.4f}") for name, amount in rows), ("**sum**", f"**{total:.4f}**")],
    )
