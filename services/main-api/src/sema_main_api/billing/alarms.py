"""balance.low: told by webhook and by mail, once per crossing; /v1/balance-alert sets where it is.

The fact is published first, with an id derived from account and crossing, and noted after, with its mails: whoever dies
in between publishes it again, and receivers know it by its id.
"""

from decimal import Decimal
from typing import Final

from starlette.responses import Response

from sema_common.billing import alarms
from sema_common.billing.alarms import Low
from sema_common.platform.bus import Bus, Outgoing
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.platform.mail import Mail, enqueue
from sema_common.platform.secrets import SecretBox
from sema_common.values.clock import now
from sema_common.values.errors import FieldError
from sema_common.values.ids import event_id
from sema_common.values.money import Money
from sema_common.wire.queues import WEBHOOKS_OUTBOUND
from sema_common.wire.webhook import Fact, bundle_facts
from sema_main_api.billing import metrics, schemas
from sema_main_api.billing.endpoints import Deps, money, refuse_billed_to_agent
from sema_main_api.http.bodies import invalid, read_body
from sema_main_api.http.callers import Caller
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import MANAGERS, Operation
from sema_main_api.http.schemas import MoneyBody
from sema_main_api.http.store import Audit, find_owners, write_audit

log = get_logger()

LOW_SECONDS: Final = 5.0
AT_ONCE: Final = 100


class Alarms:
    """`room.every("balance_low", …)`."""

    def __init__(self, db: Database, bus: Bus, box: SecretBox, web: str) -> None:
        self._db = db
        self._bus = bus
        self._box = box
        self._web = web

    async def __call__(self) -> bool:
        """One round; True when there is more."""
        async with self._db.transaction() as tx:
            await alarms.arm(tx)
            found = await alarms.find_low(tx, AT_ONCE)
            metrics.NEAR_LIMIT.set(await alarms.count_near_limit(tx))
        if found:
            await self._publish(found)
            await self._note(found)
        return len(found) == AT_ONCE

    async def _publish(self, found: list[Low]) -> None:
        facts = [_fact(low) for low in found]
        outgoing = [Outgoing(WEBHOOKS_OUTBOUND, bundle, id_) for bundle, id_ in bundle_facts(facts)]
        for failure in await self._bus.publish_many(outgoing):
            if failure is not None:
                raise failure

    async def _note(self, found: list[Low]) -> None:
        async with self._db.transaction() as tx:
            owners = await find_owners(tx, [low.account_id for low in found])
            for low in found:
                if await alarms.went_off(tx, low):
                    log.info("balance_low", account_id=str(low.account_id), crossing=low.crossing)
                    for to in owners.get(low.account_id, ()):
                        await enqueue(tx, self._box, _mail(to, self._web, low))


def _fact(low: Low) -> Fact:
    data = schemas.BalanceLow(
        account_id=low.account_id,
        balance=money(low.balance, low.currency),
        available=money(low.balance + low.credit_limit, low.currency),
        credit_limit=money(low.credit_limit, low.currency),
        threshold=money(low.threshold, low.currency),
    )
    return Fact(
        event_id=event_id("balance.low", low.account_id, low.crossing),
        type="balance.low",
        account_id=low.account_id,
        occurred_at=now(),
        data=data.model_dump(mode="json"),
    )


def _mail(to: str, web: str, low: Low) -> Mail:
    left = f"{low.currency} {low.balance + low.credit_limit:,.2f}"
    text = f"""You have {left} left to send with, less than {low.currency} {low.threshold:,.2f}.

When it is used up, messages are refused. Top up at {web}/billing
"""
    return Mail(to, "balance_low", f"Your balance is low: {left}", text)


async def read_alert(deps: Deps, _: Request, caller: Caller) -> Response:
    """The account's own threshold; a credit limit has one of 20 % of itself besides."""
    refuse_billed_to_agent(caller)
    async with deps.tenant.of(caller) as tx:
        threshold = await alarms.read_threshold(tx, caller.account_id)
    return json_response(_shown(threshold, caller))


async def put_alert(deps: Deps, request: Request, caller: Caller) -> Response:
    """Where to be told; null for never."""
    refuse_billed_to_agent(caller)
    body = await read_body(request, schemas.BalanceAlert)
    threshold = None if body.threshold is None else _amount(body.threshold, caller)
    async with deps.pipeline.transaction() as tx:
        before = await alarms.read_threshold(tx, caller.account_id)
        await alarms.set_threshold(tx, caller.account_id, threshold)
        audit = Audit.by(
            caller,
            request.request_id,
            "balance_alert.changed",
            ("account", caller.account_id),
            before={"threshold": None if before is None else str(before)},
            after={"threshold": None if threshold is None else str(threshold)},
        )
        await write_audit(tx, audit)
    return json_response(_shown(threshold, caller))


def _amount(wanted: MoneyBody, caller: Caller) -> Decimal:
    if wanted.currency != caller.currency:
        raise invalid(
            [FieldError("threshold.currency", "invalid", f"The account's currency is {caller.currency}.")]
        )
    if wanted.money.amount < 0:
        raise invalid([FieldError("threshold.amount", "out_of_range", "A threshold is not negative.")])
    return wanted.money.amount


def _shown(threshold: Decimal | None, caller: Caller) -> dict[str, object]:
    return {"threshold": None if threshold is None else Money(threshold, caller.currency).wire()}


OPERATIONS: Final = (
    Operation(
        "GET", "/v1/balance-alert", read_alert, "When `balance.low` is told", "Money",
        scope="billing:read", answers={200: schemas.BalanceAlert}, problems={403: "`billed_to_agent`"},
    ),
    Operation(
        "PUT", "/v1/balance-alert", put_alert, "Set when `balance.low` is told", "Money",
        roles=MANAGERS, body=schemas.BalanceAlert, answers={200: schemas.BalanceAlert},
        problems={403: "`billed_to_agent`"},
    ),
)  # fmt: skip
