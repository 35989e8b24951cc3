"""Times as the simulated parties write them; each second is rendered once."""

from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

_NAIROBI: Final = timezone(timedelta(hours=3))


def wire_time(at: float) -> str:
    """Unix seconds as `2026-11-20T09:30:00.123Z`."""
    millis = int(at * 1000)
    return f"{_utc_second(millis // 1000)}.{millis % 1000:03d}Z"


@lru_cache(maxsize=64)
def nairobi_time(second: int) -> str:
    """Unix seconds as Celcom writes times: `2026-11-20 12:30:00`, without saying in which zone."""
    return datetime.fromtimestamp(second, _NAIROBI).strftime("%Y-%m-%d %H:%M:%S")


@lru_cache(maxsize=64)
def _utc_second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
