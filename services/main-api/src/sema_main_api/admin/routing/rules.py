"""What staff are shown of a route's health, out of what the workers have told each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sema_common.messages.routes import WINDOW_SECONDS, Tally, gate_state, route_key, routes_in, tally

Gates = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Health:
    """The window of the last minute, and the gates by their `route_key`."""

    counts: Mapping[str, int]
    gates: Gates


UNKNOWN: Final = {"state": "unknown", "why": None, "code": None, "shut_at": None, "until": None}


def shown(health: Health | None, aggregator: str, now: float) -> dict[str, Any]:
    """One aggregator's state, window and networks; `unknown` while Redis is away."""
    if health is None:
        return UNKNOWN | {"window": None, "networks": []}
    networks = {
        key.partition("|")[2]
        for key in {*routes_in(health.counts), *health.gates}
        if key.startswith(f"{aggregator}|")
    }
    return _gate(health.gates, aggregator, now) | {
        "window": _window(tally(health.counts, aggregator), reports=False),
        "networks": [
            {"mno": mno}
            | _gate(health.gates, route_key(aggregator, mno), now)
            | _window(tally(health.counts, route_key(aggregator, mno)), reports=True)
            for mno in sorted(networks)
        ],
    }


def _gate(gates: Gates, key: str, now: float) -> dict[str, Any]:
    gate = gates.get(key)
    if gate is None or (state := gate_state(gate["shut_at"], gate["until"], now)) == "open":
        return {"state": "open", "why": None, "code": None, "shut_at": None, "until": None}
    return {name: gate[name] for name in ("why", "code", "shut_at", "until")} | {"state": state}


def _window(lately: Tally, *, reports: bool) -> dict[str, Any]:
    window: dict[str, Any] = {
        "seconds": WINDOW_SECONDS,
        "calls": lately.calls,
        "failed": lately.failed,
        "error_rate": round(lately.failed / lately.calls, 4) if lately.calls else None,
    }
    if reports:
        final = lately.delivered + lately.undelivered
        window |= {
            "delivered": lately.delivered,
            "undelivered": lately.undelivered,
            "delivery_rate": round(lately.delivered / final, 4) if final else None,
            "delivery_seconds": round(lately.latency_seconds, 1) if lately.delivered else None,
        }
    return window


def failover(routes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the first route of the order does not carry what it should."""
    return bool(routes) and (not routes[0]["enabled"] or routes[0]["state"] in ("shut", "trial"))
