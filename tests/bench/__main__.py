"""`python -m tests.bench [section …]`: what this machine carries, each figure beside its baseline.

It measures and never judges: the exit code is 0 whatever the figures are.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from sema_common.platform import logs
from tests.bench import (
    accept,
    campaign,
    contacts,
    content,
    journey,
    keys,
    login,
    money,
    reports,
    routing,
    submit,
)
from tests.bench.figures import Figure, load, show
from tests.bench.stack import BenchStack, bench_stack

SECTIONS: Final[dict[str, Callable[[BenchStack], AsyncIterator[Figure]]]] = {
    "keys": keys.known,
    "accept": accept.singles,
    "latency": accept.latency,
    "balance": money.balances,
    "batch": accept.batches,
    "login": login.beside_sends,
    "submit": submit.submits,
    "routing": routing.routed,
    "dlr-webhook": reports.taken,
    "dlr-processor": reports.applied,
    "content": content.checks,
    "contacts": contacts.validated,
    "journey": journey.whole_way,
    "campaign": campaign.fed,
}


def main() -> None:
    wanted = sys.argv[1:] or os.environ.get("ONLY", "").replace(",", " ").split() or list(SECTIONS)
    if unknown := [name for name in wanted if name not in SECTIONS]:
        sys.exit(f"no section {', '.join(unknown)}; there are: {', '.join(SECTIONS)}")
    logs.setup("bench", "error", fd=2)
    print(f"load average before: {load()}", flush=True)
    with bench_stack() as stack:
        asyncio.run(measure(stack, wanted))


async def measure(stack: BenchStack, wanted: list[str]) -> None:
    """One section after the other; what was measured is shown even if a later one breaks."""
    figures: list[Figure] = []
    try:
        for name in wanted:
            started = time.monotonic()
            print(f"  {name} …", flush=True)
            figures += [figure async for figure in SECTIONS[name](stack)]
            print(f"  {name}: {time.monotonic() - started:.0f} s, load average {load()}", flush=True)
    finally:
        show([*figures, *memory(stack)])


def memory(stack: BenchStack) -> list[Figure]:
    """Of each service that ran, at the end of its measurement."""
    return [
        Figure(f"RSS of {name}", megabytes, "MB", 100, at_most=True)
        for name, megabytes in sorted(stack.rss.items())
    ]


if __name__ == "__main__":
    main()
