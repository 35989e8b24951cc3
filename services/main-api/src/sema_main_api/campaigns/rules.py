"""What a campaign costs whom, when it may go, and what its status allows."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from sema_common.messages.campaigns import CampaignRow
from sema_common.values.errors import FieldError, Refused
from sema_common.values.money import quantize
from sema_common.values.segments import MAX_SEGMENTS, measure
from sema_common.values.templates import BadTemplate, Template, parse_template

CANCELLABLE: Final = ("submitted", "pending_content_check", "approved", "scheduled", "paused")
PAUSABLE: Final = ("queued", "sending")
MAX_AHEAD: Final = timedelta(days=90)
FREE: Final = Decimal("0.0000")


@dataclass(frozen=True, slots=True)
class Cost:
    """What the account pays, and what its billing account is charged: less or more, where an agent pays for it."""

    own: Decimal
    charged: Decimal

    def of(self, segments: int) -> "Cost":
        """Of so many segments, where this is the cost of one."""
        return Cost(quantize(self.own * segments), quantize(self.charged * segments))


PriceOf = Callable[[str, str | None], Cost | None]
"""(country, MNO) → the price of one segment; None where this account cannot write to."""

Unreachable = Callable[[str, str], Refused | None]
"""(country, encoding) → why no route can carry it, or the country does not take its sender; or None."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a recipient gets no message and is not charged."""

    code: str
    detail: str

    def wire(self) -> dict[str, str]:
        return {"code": self.code, "detail": self.detail}


class Pricer:
    """Prices one text for many recipients. The same recipient always gets the same answer."""

    def __init__(
        self, template: Template, on_missing: str, price_of: PriceOf, unreachable: Unreachable
    ) -> None:
        self._template = template
        self._skip = on_missing == "skip"
        self._price_of = price_of
        self._unreachable = unreachable
        self.prices: dict[str, dict[str, Cost]] = {}
        """One segment's, by country and MNO ('' where none is known), as far as they were asked for."""

    def price(self, country: str, mno: str | None, values: Mapping[str, str]) -> Cost | Refusal:
        """What the recipient's message costs, or why there is none."""
        if self._skip and any(name not in values for name in self._template.slots):
            return Refusal("missing_values", "The contact lacks a merge field of the text.")
        text = self._template.render(values)
        if not text.strip():
            return Refusal("empty_text", "The text is blank for this contact.")
        segments = measure(text)
        if segments.segments > MAX_SEGMENTS:
            return Refusal(
                "too_many_segments",
                f"The text takes {segments.segments} segments; the most is {MAX_SEGMENTS}.",
            )
        price = self._segment_price(country, mno)
        if price is None:
            return Refusal("unsupported_destination", f"{country} is not open for this account.")
        refused = self._unreachable(country, segments.encoding)
        if refused is not None:
            return Refusal(refused.code, refused.detail)
        return price.of(segments.segments)

    def _segment_price(self, country: str, mno: str | None) -> Cost | None:
        known = self.prices.setdefault(country, {})
        found = known.get(mno or "")
        if found is None and (found := self._price_of(country, mno)) is not None:
            known[mno or ""] = found
        return found


@dataclass(slots=True)
class Quote:
    """What all recipients cost together (`held`: the billing account); who gets no message costs nothing."""

    contacts: int = 0
    refused: int = 0
    total: Decimal = FREE
    held: Decimal = FREE
    missing: dict[str, int] = field(default_factory=dict)

    def add(self, priced: Cost | Refusal, recipients: int = 1) -> None:
        """Count so many recipients that were priced alike."""
        self.contacts += recipients
        if isinstance(priced, Refusal):
            self.refused += recipients
        else:
            self.total += priced.own * recipients
            self.held += priced.charged * recipients

    def lacks(self, names: Iterable[str]) -> None:
        """Count a recipient that has no value for these fields."""
        for name in names:
            self.missing[name] = self.missing.get(name, 0) + 1

    def require(self, fields: Iterable[str]) -> None:
        """Refused(422) for a campaign that nobody would get, or with a field that nobody has: a typo."""
        if not self.contacts:
            raise nobody("The list has no valid contact that may be written to.")
        unknown = [name for name in fields if self.missing.get(name) == self.contacts]
        if unknown:
            named = ", ".join(f"{{{{{name}}}}}" for name in unknown)
            raise wrong("message", "unknown_merge_field", f"No contact of the list has a value for {named}.")
        if self.refused == self.contacts:
            raise nobody("Not one contact of the list can get this text: ask for an estimate to see why.")


def template(text: str) -> Template:
    """The parsed text; Refused(422) when its braces are no merge fields, or it is blank."""
    try:
        parsed = parse_template(text)
    except BadTemplate as bad:
        raise wrong("message", "invalid_merge_field", f"{str(bad).capitalize()}.") from None
    if not text.strip():
        raise wrong("message", "empty", "The text is blank.")
    return parsed


def check_send_at(send_at: datetime | None, now: datetime) -> None:
    """Refused(422) for a time that has passed or lies more than 90 days ahead."""
    if send_at is None:
        return
    if send_at <= now:
        raise wrong("send_at", "out_of_range", "This time has passed.")
    if send_at > now + MAX_AHEAD:
        raise wrong("send_at", "out_of_range", f"A campaign is sent within {MAX_AHEAD.days} days.")


def uncounted(campaign: CampaignRow) -> dict[str, int]:
    """Messages by status as the campaign's row alone knows them, before their last count is kept.

    All that were made are `queued` while the campaign sends, and `sent` once it is completed, since then none waits
    for its submit any more.
    """
    return {"sent" if campaign.status == "completed" else "queued": campaign.expanded}


def over_limit() -> Refused:
    """402: the agent lets this customer spend no more this month."""
    return Refused(
        "spending_limit_reached", "The campaign may cost more than this account may spend this month.", 402
    )


def agent_insufficient() -> Refused:
    """402: the reservation does not fit the agent's balance, which is not for his customers to know."""
    return Refused("insufficient_credit", "The account that pays for this one has not enough credit.", 402)


def insufficient(estimate: Decimal, available: Decimal, currency: str) -> Refused:
    """402: the reservation does not fit."""
    return Refused(
        "insufficient_credit",
        f"The campaign may cost {estimate} {currency}, {available} {currency} is available.",
        402,
    )


def nobody(detail: str) -> Refused:
    """422: there is nobody to write to."""
    return Refused("no_recipients", detail, errors=[FieldError("contact_list_id", "no_recipients", detail)])


def wrong(name: str, code: str, detail: str) -> Refused:
    """422 `validation_failed` about one member of the body."""
    return Refused("validation_failed", detail, errors=[FieldError(name, code, detail)])
