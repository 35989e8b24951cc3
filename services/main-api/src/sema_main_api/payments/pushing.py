"""STK pushes: each claimed before it is made, made once, and never waited for by the others."""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sema_common.billing.payments import top_ups
from sema_common.billing.payments.top_ups import TopUp
from sema_common.platform.db import Database
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_main_api.payments import metrics
from sema_main_api.payments.clients import Daraja, Unreachable
from sema_main_api.payments.rules import daraja as wire
from sema_main_api.payments.rules import top_ups as rules

log = get_logger()

AT_ONCE: Final = 50
"""Pushes that one instance has open at Daraja."""

CLOSE_SECONDS: Final = 5.0
"""What open pushes may still take at the end. One that is given up is in doubt, and is settled like any other."""


@dataclass(frozen=True, slots=True)
class Pace:
    """`unit`: of the waits for a result; `list_every`: between two readings of the list."""

    unit: timedelta
    list_every: timedelta


class Pushing:
    """`callback_url(token)`: where Daraja is to call back."""

    def __init__(
        self,
        db: Database,
        daraja: Daraja,
        business: wire.Business,
        callback_url: Callable[[str], str],
        pace: Pace,
    ) -> None:
        self._db = db
        self._daraja = daraja
        self._business = business
        self._callback_url = callback_url
        self._pace = pace
        self._open: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Pushes begin and end inside."""
        yield
        if self._open:
            await asyncio.wait(self._open, timeout=CLOSE_SECONDS)
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def run(self) -> bool:
        """Begin to push what was asked for. What becomes of a claim that dies is learnt by asking."""
        moment, free = now(), AT_ONCE - len(self._open)
        if free <= 0:
            return False
        async with self._db.transaction() as tx:
            claimed = await top_ups.claim_pushes(tx, moment, moment + self._pace.unit, free)
        for top_up in claimed:
            task = asyncio.create_task(self._push_or_log(top_up))
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        return False

    async def _push_or_log(self, top_up: TopUp) -> None:
        try:
            await self._push(top_up)
        except Exception:
            log.exception("push_broke_off", top_up_id=str(top_up.id))

    async def _push(self, top_up: TopUp) -> None:
        token = secrets.token_hex(32)  # hex: no word that Daraja refuses in a URL
        async with self._db.transaction() as tx:
            await top_ups.set_callback_hash(tx, top_up.id, hashlib.sha256(token.encode()).digest())
        fault("payments.before_push")
        url = self._callback_url(token)
        call = self._business.push(now(), top_up.amount, top_up.msisdn, top_up.account_reference, url)
        try:
            answer = await self._daraja.push(call)
            pushed = wire.read_push(answer.status, answer.body)
        except Unreachable as exc:
            log.warning("push_failed", top_up_id=str(top_up.id), detail=exc.detail, in_doubt=exc.sent)
            pushed = wire.Pushed("in_doubt") if exc.sent else wire.Pushed("not_now", "provider_unavailable")
        fault("payments.after_push")
        await self._record(top_up, pushed)

    async def _record(self, top_up: TopUp, pushed: wire.Pushed) -> None:
        moment, retry = now(), self._pace.unit / rules.PUSH_RETRIES
        async with self._db.transaction() as tx:
            match pushed.outcome:
                case "accepted":
                    ids = pushed.merchant_request_id, pushed.checkout_request_id
                    await top_ups.set_pushed(tx, top_up.id, *ids)
                case "not_now" if moment + retry < top_up.created_at + rules.PUSH_WITHIN:
                    await top_ups.push_again(tx, top_up.id, moment + retry)
                case "not_now" | "refused":
                    await top_ups.end(tx, top_up.id, "failed", pushed.reason, moment)
                    metrics.TOP_UPS.labels("failed", pushed.reason).inc()
                case "in_doubt":
                    pass  # pending, and never pushed again: its callback or the list tells
        log.info("top_up_pushed", top_up_id=str(top_up.id), outcome=pushed.outcome, reason=pushed.reason)
