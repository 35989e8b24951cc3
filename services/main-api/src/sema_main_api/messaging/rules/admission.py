"""What may be accepted, and at what price."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol
from uuid import UUID

from sema_aggregators.port import Capabilities
from sema_common.billing.prices import PriceList
from sema_common.messages.store.accepting import NewMessage
from sema_common.values.errors import FieldError, Refused
from sema_common.values.ids import id_time, new_id
from sema_common.values.msisdn import AFRICAN_COUNTRIES, InvalidMsisdn, Msisdn, country_of, parse_msisdn
from sema_common.values.networks import MnoTable
from sema_common.values.segments import MAX_SEGMENTS, Segments, measure
from sema_common.values.senders import SenderRule
from sema_content_checker import Judge
from sema_main_api.http.senders import Approved, approved_sender, not_taken
from sema_main_api.messaging.schemas import SendRequest

DEFAULT_VALIDITY: Final = {"normal": 86_400, "priority": 300}
"""Seconds. An OTP that is five minutes old only confuses; other texts may wait a day."""

FREE: Final = Decimal("0.0000")


class Asker(Protocol):
    """What the rules need to know of the caller."""

    @property
    def account_id(self) -> UUID: ...
    @property
    def tenant_id(self) -> UUID: ...
    @property
    def billing_account_id(self) -> UUID: ...
    @property
    def mode(self) -> str: ...
    @property
    def account_type(self) -> str: ...
    @property
    def tier(self) -> str: ...
    @property
    def currency(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Reference:
    """What is decided by, as it was read last: prices, networks, content rules, what routes can carry."""

    prices: PriceList
    networks: MnoTable
    content: Judge
    live_routes: Sequence[Capabilities]
    test_routes: Sequence[Capabilities]
    sender_rules: Mapping[str, SenderRule] = field(default_factory=dict)
    _reach: dict[tuple[str, str, str, str], Refused | None] = field(default_factory=dict)

    def unreachable(self, mode: str, country: str, kind: str, encoding: str) -> Refused | None:
        """Why no route can carry this, or None; remembered, there are but a few hundred questions."""
        question = (mode, country, kind, encoding)
        if question not in self._reach:
            routes = self.test_routes if mode == "test" else self.live_routes
            self._reach[question] = find_no_route(routes, country, kind, encoding)
        return self._reach[question]


@dataclass(frozen=True, slots=True)
class Quote:
    """What a text to a number would be: how it is cut, where it goes, what it costs (its agent: `wholesale`)."""

    to: Msisdn
    country: str
    mno: str
    segments: Segments
    cost: Decimal
    wholesale: Decimal | None


def quote(request: SendRequest, asker: Asker, reference: Reference, now: datetime) -> Quote:
    """Judge number, text, reach and price; Refused with the contract's code where one of them fails."""
    to = recipient(request.to)
    segments = text_segments(request.body)
    country = country_of(to)
    network = reference.networks.lookup(to)
    if country not in AFRICAN_COUNTRIES:
        raise unsupported(f"{country} is outside the countries that we serve")
    rate = reference.prices.rate(asker, country, network.mno if network else None, now)
    if rate is None:
        raise unsupported(f"{country} is not open for this account")
    if network is None:
        raise unsupported("no network is known for this number", code="unknown_network")
    refused = reference.unreachable(asker.mode, country, request.type, segments.encoding)
    if refused is not None:
        raise refused
    if asker.mode == "test":
        return Quote(to, country, network.mno, segments, FREE, None)
    cost = rate.price.of(segments.segments)
    wholesale = rate.wholesale.of(segments.segments) if rate.wholesale else None
    return Quote(to, country, network.mno, segments, cost, wholesale)


def find_no_route(routes: Sequence[Capabilities], country: str, kind: str, encoding: str) -> Refused | None:
    """None if a route serves the country and carries this kind of message in this encoding, else why not."""
    serving = [route for route in routes if route.countries is None or country in route.countries]
    if not serving:
        return unsupported(f"no route serves {country} at present")
    if any((r.flash or kind == "SMS") and (r.ucs2 or encoding == "GSM-7") for r in serving):
        return None
    what = "flash messages" if kind == "FLASH_SMS" else f"{encoding} text"
    return Refused("unsupported_type", f"No route to {country} can carry {what}.")


def recipient(text: str) -> Msisdn:
    """The number in E.164, or Refused `invalid_phone_number`."""
    try:
        return parse_msisdn(text)
    except InvalidMsisdn as exc:
        raise Refused(
            "invalid_phone_number",
            f"The recipient is not a mobile number in E.164: {exc}.",
            errors=[FieldError("to", "invalid_phone_number", f"{exc.reason}: {exc}")],
        ) from None


def text_segments(body: str) -> Segments:
    """How the text is cut; Refused when it is blank or longer than 10 segments."""
    if not body.strip():
        raise invalid("body", "empty", "The text is blank.")
    segments = measure(body)
    if segments.segments > MAX_SEGMENTS:
        raise invalid(
            "body",
            "too_many_segments",
            f"The text takes {segments.segments} segments ({segments.encoding}); the most is {MAX_SEGMENTS}.",
        )
    return segments


def content(body: str, judge: Judge) -> None:
    """Refused `content_rejected` with its reasons, unless the text may be sent."""
    verdict = judge(body)
    if not verdict.allowed:
        reasons = [{"check": reason.check, "detail": reason.detail} for reason in verdict.reasons]
        raise Refused("content_rejected", "The text breaks the content rules.", extra={"reasons": reasons})


def admit(
    request: SendRequest,
    asker: Asker,
    reference: Reference,
    approved: Approved,
    now: datetime,
    *,
    idempotency_hash: str | None = None,
    traceparent: str | None = None,
) -> NewMessage:
    """The message that this request asks for, priced and dated; Refused where it may not be."""
    quoted = quote(request, asker, reference, now)
    from_sender = approved_sender(request.sender, approved)
    refused = not_taken(from_sender, approved[from_sender], quoted.country, reference.sender_rules)
    if refused is not None:
        raise refused
    content(request.body, reference.content)
    message_id = new_id()
    enqueued_at = id_time(message_id)
    seconds = request.validity_seconds or DEFAULT_VALIDITY[request.lane]
    return NewMessage(
        message_id=message_id,
        enqueued_at=enqueued_at,
        tenant_id=asker.tenant_id,
        account_id=asker.account_id,
        billing_account_id=asker.billing_account_id,
        to=quoted.to,
        sender=from_sender,
        body=request.body,
        kind=request.type,
        lane=request.lane,
        test=asker.mode == "test",
        encoding=quoted.segments.encoding,
        segments=quoted.segments.segments,
        cost=quoted.cost,
        wholesale=quoted.wholesale,
        currency=asker.currency,
        country=quoted.country,
        mno=quoted.mno,
        idempotency_hash=idempotency_hash,
        metadata=request.metadata,
        callback_url=request.callback_url,
        traceparent=traceparent,
        valid_until=enqueued_at + timedelta(seconds=seconds),
    )


def invalid(field_name: str, code: str, detail: str) -> Refused:
    """422 `validation_failed` about one member of the body."""
    return Refused("validation_failed", detail, errors=[FieldError(field_name, code, detail)])


def unsupported(detail: str, code: str = "unsupported_destination") -> Refused:
    """422 `unsupported_destination`; `code` tells the member's error apart."""
    return Refused(
        "unsupported_destination", f"Cannot send there: {detail}.", errors=[FieldError("to", code, detail)]
    )
