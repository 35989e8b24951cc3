"""/v1/callbacks/payments: the provider's door. Nothing here is believed; it is kept, and makes us ask.

Nobody signs these calls, so an address is a secret: each push has its own, pay-bill payments have one that is set up.
What cannot be read is kept and answered like the rest: nobody would send it again.
"""

import hashlib
import hmac
import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from sema_common.billing.payments import notices, top_ups
from sema_common.platform.db import Database
from sema_common.platform.faults import fault
from sema_common.values.clock import now
from sema_common.values.errors import RetryLater
from sema_common.values.ids import new_id
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import Operation
from sema_main_api.payments import metrics, settling
from sema_main_api.payments.rules import daraja as wire
from sema_main_api.payments.rules import top_ups as rules

MAX_BODY: Final = 16 * 1024

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Door:
    """How the provider comes in. `tokens`: of the pay-bill addresses, newest first; `networks` empty: from anywhere."""

    business: wire.Business
    tokens: Sequence[str]
    networks: Sequence[Network]
    trusted_proxies: int
    ask: Callable[[], None]
    read_list: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Deps:
    """`door` None: M-Pesa is not set up, and there is nothing here."""

    pipeline: Database
    door: Door | None = None


async def take(deps: Deps, request: Request) -> Response:
    """A push's result, or a pay-bill payment: kept, then 200."""
    door = _admitted(deps.door, request)
    token = request.path_params["token"]
    if _is_standing(door, token):
        return await _take_confirmation(deps, door, await request.body())
    return await _take_result(deps, door, token, await request.body())


async def _take_result(deps: Deps, door: Door, token: str, raw: bytes) -> Response:
    """Of one push, which its address names. It is asked about at once."""
    told, moment = wire.read_callback(raw), now()
    async with deps.pipeline.transaction() as tx:
        top_up = await top_ups.lock_called(tx, hashlib.sha256(token.encode()).digest())
        if top_up is None:
            raise not_found()
        kind, finding = "push", "unreadable"
        if told is None:
            kind = "unreadable"
        else:
            against = rules.contradicts(top_up, told.checkout_request_id, told.code, told.amount)
            finding = against or "taken"
            if against != "other_request":
                held = against == "amount_differs"
                await top_ups.set_told(tx, top_up.id, told.checkout_request_id, told.receipt, held, moment)
                if top_up.status == "succeeded" and against is None and told.receipt is not None:
                    await settling.tell_receipt(tx, top_up, told.receipt, moment)
        await notices.keep(tx, new_id(moment), kind, _text(raw), moment, finding, top_up_id=top_up.id)
        fault("payments.callback_before_commit")
    fault("payments.callback_after_commit")
    metrics.NOTICES.labels(kind, finding).inc()
    door.ask()
    return json_response({"ResultCode": 0, "ResultDesc": "Accepted"})


async def _take_confirmation(deps: Deps, door: Door, raw: bytes) -> Response:
    """Of a pay-bill payment. The list is read for it at once."""
    told, moment = wire.read_confirmation(raw), now()
    kind, finding, receipt = "confirmation", "taken", None
    if told is None or not told.receipt:
        kind, finding = "unreadable", "unreadable"
    elif told.short_code != door.business.short_code:
        finding = "other_business"
    else:
        receipt = told.receipt
    async with deps.pipeline.transaction() as tx:
        await notices.keep(tx, new_id(moment), kind, _text(raw), moment, finding, receipt=receipt)
        await notices.hurry(tx, "list", moment)
    metrics.NOTICES.labels(kind, finding).inc()
    door.read_list()
    return json_response({"ResultCode": 0, "ResultDesc": "Success"})


async def validate(deps: Deps, request: Request) -> Response:
    """Before somebody pays by hand: is his account number one of ours? When in doubt, he may pay."""
    door = _admitted(deps.door, request)
    if not _is_standing(door, request.path_params["token"]):
        raise not_found()
    told = wire.read_confirmation(await request.body())
    if told is None:
        return _verdict("C2B00016")
    if told.short_code != door.business.short_code:
        return _verdict("C2B00015")
    if told.amount is None:
        return _verdict("C2B00013")
    try:
        async with deps.pipeline.transaction() as tx:
            known = await settling.is_known(tx, told.bill_reference)
    except RetryLater:  # his money is safe with us either way
        known = True
    return _verdict("0" if known else "C2B00012")


def _verdict(code: str) -> Response:
    metrics.NOTICES.labels("validation", "taken" if code == "0" else code).inc()
    return json_response({"ResultCode": code, "ResultDesc": "Accepted" if code == "0" else "Rejected"})


def _admitted(door: Door | None, request: Request) -> Door:
    """Refused(404) where there is no door, or not for this address."""
    if door is None:
        raise not_found()
    if door.networks:
        try:
            address = ipaddress.ip_address(request.address(door.trusted_proxies))
        except ValueError:
            raise not_found() from None
        if not any(address in network for network in door.networks):
            metrics.NOTICES.labels("unreadable", "other_address").inc()
            raise not_found()
    return door


def _is_standing(door: Door, token: str) -> bool:
    """Whether it is that of the pay-bill addresses; compared without telling how much of it was right."""
    return any(hmac.compare_digest(token.encode(), known.encode()) for known in door.tokens)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").replace("\x00", "")


_TAG: Final = "Callbacks"

OPERATIONS = (
    Operation(
        "POST",
        "/v1/callbacks/payments/{token}",
        take,
        "What M-Pesa tells",
        _TAG,
        public=True,
        listed=False,
        max_body=MAX_BODY,
    ),
    Operation(
        "POST",
        "/v1/callbacks/payments/{token}/validation",
        validate,
        "Whether M-Pesa may take a payment",
        _TAG,
        public=True,
        listed=False,
        max_body=MAX_BODY,
    ),
)
