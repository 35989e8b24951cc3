"""A message's history in a customer's words: which way it went and why, but not what is between us and aggregators."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

NAMES: Final[Mapping[str, str]] = {"celcom": "Celcom", "africastalking": "Africa's Talking"}

WENT: Final[Mapping[str, str]] = {
    "primary": "the usual route",
    "preferred": "the route that this account prefers",
    "forced": "the only route that this account uses",
    "fallback": "another route",
    "trial": "a route that is being tried again",
    "last_resort": "the only route that was open",
    "resend": "the same route again: whether the submit before arrived is not known",
    "test": "test mode",
    "none": "no route yet",
}

PASSED_OVER: Final[Mapping[str, str]] = {
    "cannot_carry": "does not carry this kind of message",
    "network_not_served": "does not reach this network",
    "refused_before": "does not reach this network",
    "switched_off": "is not in use",
    "switched_off_for_account": "is not in use for this account",
    "undelivered": "delivers badly to this network at present",
    "slow": "is slow to this network at present",
}
"""Whatever is not here (our account there, its errors, its wish that we slow down) is "not available"."""


def shown(detail: Mapping[str, Any] | None) -> dict[str, Any]:
    """An event's detail as customers see it: `route` is a sentence."""
    seen = dict(detail or {})
    choice = seen.pop("route", None)
    if choice:
        seen["route"] = _sentence(choice["reason"], choice.get("passed_over", ()))
    return seen


def _sentence(reason: str, passed_over: Sequence[Mapping[str, str]]) -> str:
    because = ", ".join(
        f"{NAMES.get(each['aggregator'], each['aggregator'])} "
        f"{PASSED_OVER.get(each['reason'], 'is not available')}"
        for each in passed_over
    )
    went = WENT.get(reason, reason)
    return f"{went}, because {because}" if because else went
