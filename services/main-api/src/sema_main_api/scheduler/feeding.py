"""The feeder: expands running campaigns into messages, in turn, and only while the normal lane is short.

A chunk is one transaction: what its recipients cost goes from reservation to charge, their messages are written with
their first events, and the cursor moves past them. Whatever dies, and whenever, either all of it happened or nothing
did, and the next instance goes on at the cursor. Messages go to the relay after the commit, as every other does.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from types import TracebackType
from typing import Final, Protocol, Self
from uuid import UUID

from sema_common.billing import ledger
from sema_common.messages.campaigns import CampaignRow
from sema_common.messages.store import accepting as messages
from sema_common.messages.store.accepting import NewMessage
from sema_common.platform.bus import Bus
from sema_common.platform.db import Database, Tx
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values import quiet_hours
from sema_common.values.clock import now
from sema_common.values.errors import LockBusy, RetryLater
from sema_common.values.ids import event_id, new_id
from sema_common.values.templates import Template, parse_template
from sema_common.wire.queues import SMS_NORMAL
from sema_content_checker import Judge
from sema_main_api.http.store import find_suppressed
from sema_main_api.scheduler import metrics, rules
from sema_main_api.scheduler.store import feeding as store

log = get_logger()

CHUNK: Final = 500
"""Recipients in one transaction: some 60 ms, which is how long the account's own sends may wait for its balance."""

SHORT: Final = 200
"""The normal lane is short below so many AMQP messages (4,000 jobs in full bundles): about a second of work for one
sms-worker, so that a campaign of ten waits no longer than that behind a million."""

RELAY_SHORT: Final = 1_000
"""Messages that this process has committed and not yet published: nothing `submitted` waits for more than the relay."""

PAUSE_SECONDS: Final = 0.05
"""Between two looks at a lane that is full enough: at 5,000 messages a second it empties by 250 meanwhile."""

LEASE: Final = timedelta(seconds=15)
RENEW_SECONDS: Final = 3.0
"""How long one claim is worked with before it is renewed and new campaigns are looked for."""

AT_ONCE: Final = 200
"""Campaigns that one instance expands side by side."""

CHUNK_SECONDS: Final = 10.0
JUDGED_AT_ONCE: Final = 50
"""Recipients judged in one go (some 2 ms): requests come through in between."""


class Outlet(Protocol):
    """Where committed messages go, and how many of them it still holds; the relay in production."""

    def offer(self, messages: Sequence[NewMessage]) -> None: ...
    def __len__(self) -> int: ...


class Rules(Protocol):
    """The content rules as they are now."""

    @property
    def content(self) -> Judge: ...


class ReferenceData(Protocol):
    """Kept fresh in memory."""

    @property
    def current(self) -> Rules: ...


@dataclass(slots=True)
class Running:
    """A campaign that this instance expands."""

    row: CampaignRow
    tier: str
    template: Template


class Feeder:
    """`run` is called by a loop; `async with`: leaving it lets go of what this instance has claimed."""

    def __init__(self, db: Database, bus: Bus, relay: Outlet, reference: ReferenceData) -> None:
        self._db = db
        self._bus = bus
        self._relay = relay
        self._reference = reference
        self._instance = new_id()
        self._turns = rules.Turns()
        self._news = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            async with self._db.transaction() as tx:
                await store.let_go(tx, self._instance)
        except RetryLater as failure:  # the lease ends by itself
            log.warning("claims_not_let_go", error=str(failure))

    def wake(self) -> None:
        """There may be a campaign more: claim again before the next chunk."""
        self._news = True

    async def run(self) -> bool:
        """Expand for a few seconds what is claimed; True while something is left to expand."""
        self._news = False
        async with self._db.transaction() as tx:
            claimed = await store.claim(tx, self._instance, LEASE, now(), AT_ONCE)
        running: dict[UUID, list[Running]] = {}
        for row, tier in sorted(claimed, key=lambda pair: pair[0].id):
            each = Running(row, tier, parse_template(row.message))
            running.setdefault(row.account_id, []).append(each)
        self._turns.keep(list(running))
        metrics.RUNNING.set(len(claimed))
        until = time.monotonic() + RENEW_SECONDS
        while running and time.monotonic() < until and not self._news:
            if not await self._is_short():
                metrics.FEEDER_WAITS.inc()
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            account = self._turns.next(list(running))
            await self._turn(running, account)
        return bool(claimed)

    async def _is_short(self) -> bool:
        """Whether the normal lane has room; while RabbitMQ is away nobody knows, and nothing is expanded."""
        return len(self._relay) < RELAY_SHORT and await self._bus.depth(SMS_NORMAL) < SHORT

    async def _turn(self, running: dict[UUID, list[Running]], account: UUID) -> None:
        """One chunk of this account; its campaigns take turns too."""
        campaign = running[account].pop(0)
        given: int | None = 0
        try:
            given = await self._chunk(campaign)
        except LockBusy:  # somebody else holds its balance at this moment: its turn is over, the others go on
            given = CHUNK
            await asyncio.sleep(PAUSE_SECONDS)
        except RetryLater as exc:
            log.warning("campaign_chunk_failed", campaign_id=str(campaign.row.id), error=str(exc))
            given = None  # until the next claim
        self._turns.gave(account, given or 0, campaign.tier)
        if given is not None:
            running[account].append(campaign)
        if not running[account]:
            del running[account]

    async def _chunk(self, campaign: Running) -> int | None:
        """Expand the next recipients; how many had their turn, None when nobody is left or may be written to now."""
        row = campaign.row
        started = time.perf_counter()
        async with self._db.transaction() as tx:
            parts = await store.parts(tx, row.id)
            part = self._open_part(row, parts)
            if part is None:
                if parts:
                    opens = (quiet_hours.opens_at(each.country, now()) for each in parts)
                    await store.sleep_until(
                        tx, row.id, self._instance, min(filter(None, opens), default=now())
                    )
                return None
            found = await store.next_recipients(tx, row.id, part.country, part.cursor, CHUNK)
        made, refused = await self._judge(campaign, part, found)
        cursor = found[-1].seq if len(found) == CHUNK else part.last_seq
        accepted = await self._commit(row, part, made, refused, cursor)
        if accepted is None:
            return None
        self._relay.offer(accepted)
        metrics.EXPANDED.inc(len(accepted))
        metrics.CHUNK_SECONDS.observe(time.perf_counter() - started)
        return len(found)

    @staticmethod
    def _open_part(row: CampaignRow, parts: Sequence[store.Part]) -> store.Part | None:
        """A country with recipients left that may be written to now."""
        moment = now()
        for part in parts:
            if not row.quiet_hours or quiet_hours.opens_at(part.country, moment) is None:
                return part
        return None

    async def _judge(
        self, campaign: Running, part: store.Part, found: Sequence[store.RecipientRow]
    ) -> tuple[list[tuple[int, NewMessage]], list[tuple[int, dict[str, str]]]]:
        """Messages and refusals, each with the recipient's number; who was refused at submission is passed over."""
        made: list[tuple[int, NewMessage]] = []
        refused: list[tuple[int, dict[str, str]]] = []
        prices = {mno: Decimal(price) for mno, price in part.prices.items()}
        wholesale = {mno: Decimal(price) for mno, price in (part.wholesale or {}).items()}
        for index, each in enumerate(found):
            if index % JUDGED_AT_ONCE == JUDGED_AT_ONCE - 1:
                await asyncio.sleep(0)
            if each.refused:
                continue
            network = each.mno or ""
            recipient = rules.Recipient(
                each.seq,
                each.msisdn,
                part.country,
                each.mno,
                each.fields or {},
                prices.get(network),
                wholesale.get(network),
            )
            expanded = rules.expand(campaign.row, campaign.template, recipient, self._reasons)
            if isinstance(expanded, NewMessage):
                made.append((each.seq, expanded))
            else:
                refused.append((each.seq, expanded))
        return made, refused

    def _reasons(self, text: str) -> list[dict[str, str]]:
        """Why a text may not be sent, by the rules of this moment."""
        verdict = self._reference.current.content(text)
        return [{"check": reason.check, "detail": reason.detail} for reason in verdict.reasons]

    async def _commit(
        self,
        row: CampaignRow,
        part: store.Part,
        made: list[tuple[int, NewMessage]],
        refused: list[tuple[int, dict[str, str]]],
        cursor: int,
    ) -> list[NewMessage] | None:
        """Charge, write, move the cursor; None when the campaign is not ours to expand any more."""
        payer = row.billing_account_id
        async with self._db.transaction(CHUNK_SECONDS) as tx:
            # Balances are locked before any other row, everywhere.
            balance = None
            if not row.test:
                balance = (await ledger.lock_free_balances(tx, [payer])).get(payer)
                if balance is None:
                    raise LockBusy("the balance is in use")
            if not await store.lock(tx, row.id, self._instance, part.country, part.cursor):
                return None
            opted_out = await find_suppressed(tx, [(m.account_id, m.to) for _, m in made])
            refused = refused + [(seq, OPTED_OUT) for seq, m in made if (m.account_id, m.to) in opted_out]
            accepted = [m for _, m in made if (m.account_id, m.to) not in opted_out]
            charged = await self._pay(tx, row, balance, accepted, part.country, cursor)
            cost = sum((m.cost for m in accepted), Decimal(0))
            if accepted:
                await messages.insert_messages(tx, accepted)
            if refused:
                await store.refuse(tx, row.id, part.country, refused)
            counts = len(accepted), len(refused)
            await store.advance(tx, row.id, part.country, cursor, *counts, cost, charged, now())
            left = await store.end(tx, row.id, now())
            if left:
                await ledger.release(tx, payer, left, row.id)
            fault("feeder.before_commit")
        fault("feeder.after_commit")
        for _, reason in refused:
            metrics.REFUSED.labels(reason["code"]).inc()
        if left is not None:
            log.info("campaign_expanded", campaign_id=str(row.id), account_id=str(row.account_id))
        return accepted

    @staticmethod
    async def _pay(
        tx: Tx,
        row: CampaignRow,
        balance: ledger.Balance | None,
        accepted: Sequence[NewMessage],
        country: str,
        cursor: int,
    ) -> Decimal:
        """Charge the messages out of the reservation; what was charged for them together."""
        if balance is None or not accepted:
            return Decimal(0)
        release_id = event_id("campaign.release", row.id, country, cursor)
        spent = [ledger.Spent(m.message_id, m.charged, m.volume, m.sale) for m in accepted]
        return await ledger.charge_reserved(tx, balance, spent, release_id)


OPTED_OUT: Final = {
    "code": "recipient_suppressed",
    "detail": "The recipient has opted out since the campaign was submitted.",
}
