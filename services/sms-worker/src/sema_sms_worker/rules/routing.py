"""Which aggregator gets a message: the order that staff have set, the account's own rule, what each can carry, and
how each does. Pure: what is known is handed in.

A message goes to the first aggregator of its list that may have it; those before it were passed over, each for a
reason, and all of it becomes part of the message's history.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import UUID

from sema_aggregators import Capabilities
from sema_common.wire.sms import SmsJob
from sema_sms_worker.rules.gates import State, Why

Reason = Literal["primary", "preferred", "forced", "fallback", "resend", "trial", "last_resort", "test"]
PassedOver = Literal[
    "cannot_carry",
    "network_not_served",
    "refused_before",
    "switched_off",
    "switched_off_for_account",
    "not_connected",
    "not_configured",
    "being_tried",
    "failing",
    "asked_to_wait",
    "account",
    "undelivered",
    "slow",
    "paced",
    "busy",
]

NEVER: Final[frozenset[PassedOver]] = frozenset({"cannot_carry", "network_not_served", "refused_before"})
"""Reasons that no waiting mends."""

PASSING: Final[frozenset[PassedOver]] = frozenset({"not_connected", "being_tried"})
"""Reasons that are over in a moment."""


@dataclass(frozen=True, slots=True)
class Route:
    """One aggregator as staff have set it. `unserved`: networks that it does not reach, as `KE:Telkom`."""

    aggregator: str
    capabilities: Capabilities
    enabled: bool = True
    unserved: frozenset[str] = frozenset()
    per_second: int | None = None


@dataclass(frozen=True, slots=True)
class AccountRule:
    """An account's own wish: `aggregator` first, or (forced) nothing else; `switched_off` never."""

    aggregator: str | None = None
    forced: bool = False
    switched_off: frozenset[str] = frozenset()


NO_RULE: Final = AccountRule()


@dataclass(frozen=True, slots=True)
class Table:
    """All that staff have set: the routes in their order, the accounts' rules."""

    routes: Sequence[Route]
    accounts: Mapping[UUID, AccountRule] = field(default_factory=dict)

    def rule(self, account_id: UUID) -> AccountRule:
        return self.accounts.get(account_id, NO_RULE)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a gate stands. `trial`: the gate that one message may try; `soft`: it is about this network only."""

    state: State = "open"
    why: Why | Literal["being_tried"] | None = None
    trial: str | None = None
    soft: bool = False


FINE: Final = Standing()
Health = Callable[[str, str | None], Standing]
"""(aggregator, MNO) → how its gates stand."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a message goes, why, and what was passed over before. `trial`: the gate that it tries."""

    aggregator: str
    reason: Reason
    passed_over: tuple[tuple[str, PassedOver], ...] = ()
    trial: str | None = None

    @property
    def told(self) -> dict[str, Any]:
        """As it is written into the message's history."""
        return told(self.reason, self.passed_over)


@dataclass(frozen=True, slots=True)
class NoRoute:
    """Nothing may have this message now; `never`: and nothing ever will."""

    passed_over: tuple[tuple[str, PassedOver], ...]

    @property
    def never(self) -> bool:
        return all(why in NEVER for _, why in self.passed_over)

    @property
    def told(self) -> dict[str, Any]:
        return told("none", self.passed_over)


def told(reason: str, passed_over: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """A choice as JSON; what is usual is short."""
    if not passed_over:
        return {"reason": reason}
    return {"reason": reason, "passed_over": [{"aggregator": a, "reason": why} for a, why in passed_over]}


def refused_before(choice: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The aggregators that a told choice says will never take the message."""
    over = (choice or {}).get("passed_over", ())
    return tuple(each["aggregator"] for each in over if each["reason"] == "refused_before")


def bonded(job: SmsJob, choice: dict[str, Any]) -> dict[str, Any]:
    """A told choice with what its job is bound by: whoever publishes the job again reads it from here."""
    return choice if job.only_via is None else choice | {"reason": "resend"}


def is_bound(choice: Mapping[str, Any] | None) -> bool:
    """Whether a told choice says that its message, once in doubt, must stay with its aggregator."""
    return (choice or {}).get("reason") == "resend"


def choose(
    job: SmsJob, table: Table, health: Health, failed: frozenset[str] = frozenset()
) -> Choice | NoRoute:
    """The route of one message. `failed`: aggregators that could not be reached with it a moment ago."""
    rule = table.rule(job.account_id)
    over: list[tuple[str, PassedOver]] = []
    soft: str | None = None
    for name, route in _candidates(job, table, rule):
        why = _hindrance(job, rule, name, route, failed)
        if why is None:
            standing = health(name, job.mno)
            if standing.state == "open":
                return Choice(name, _reason(job, rule, name, over), tuple(over))
            if standing.state == "trial":
                return Choice(name, "trial", tuple(over), standing.trial)
            soft = soft or (name if standing.soft else None)
            why = standing.why or "failing"
        over.append((name, why))
    if soft is not None:  # badly is better than not at all
        return Choice(soft, "last_resort", tuple(each for each in over if each[0] != soft))
    return NoRoute(tuple(over))


def _candidates(job: SmsJob, table: Table, rule: AccountRule) -> list[tuple[str, Route | None]]:
    routes: dict[str, Route | None] = {route.aggregator: route for route in table.routes}
    only = job.only_via or (rule.aggregator if rule.forced else None)
    if only is not None:
        return [(only, routes.get(only))]
    names = list(routes)
    if rule.aggregator in routes:
        names.sort(key=lambda name: name != rule.aggregator)
    return [(name, routes[name]) for name in names]


def _hindrance(
    job: SmsJob, rule: AccountRule, name: str, route: Route | None, failed: frozenset[str]
) -> PassedOver | None:
    """Why this route may not have the message, whatever its health."""
    if name in job.not_via:
        return "refused_before"
    if route is None:
        return "not_configured"
    if not can_carry(route.capabilities, job.country, job.kind, job.encoding):
        return "cannot_carry"
    if job.mno is not None and f"{job.country}:{job.mno}" in route.unserved:
        return "network_not_served"
    if not route.enabled:
        return "switched_off"
    if name in rule.switched_off:
        return "switched_off_for_account"
    return "not_connected" if name in failed else None


def can_carry(able: Capabilities, country: str, kind: str, encoding: str) -> bool:
    """Whether an adapter and its account carry this kind of message to this country."""
    return (
        (able.countries is None or country in able.countries)
        and (able.flash or kind != "FLASH_SMS")
        and (able.ucs2 or encoding != "UCS-2")
    )


def _reason(job: SmsJob, rule: AccountRule, name: str, over: Sequence[tuple[str, PassedOver]]) -> Reason:
    if job.only_via is not None:
        return "resend"
    if rule.forced and rule.aggregator is not None:
        return "forced"
    if over:
        return "fallback"
    return "preferred" if name == rule.aggregator else "primary"
