"""wrk, the load generator for closed loops: a few µs a request in C and Lua, so that it measures the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, Final

LUA: Final = Path(__file__).parent / "lua"
# Beyond 10 s wrk gives a connection up; nothing here may take so long.
ANSWER_SECONDS: Final = 10


@dataclass(frozen=True)
class Load:
    """One run. Latencies in milliseconds, `refused` counts statuses from 400 on, `broken` sockets that failed."""

    requests: int
    seconds: float
    p50: float
    p99: float
    refused: int
    broken: int

    @property
    def per_second(self) -> float:
        return (self.requests - self.refused) / self.seconds

    @property
    def latencies(self) -> str:
        errors = f", {self.refused} refused, {self.broken} broken" if self.refused or self.broken else ""
        return f"p50 {self.p50:.1f} ms, p99 {self.p99:.1f} ms{errors}"


def together(loads: Sequence[Load]) -> Load:
    """Several runs as one; of the percentiles their mean."""
    return Load(
        sum(load.requests for load in loads),
        sum(load.seconds for load in loads),
        mean(load.p50 for load in loads),
        mean(load.p99 for load in loads),
        sum(load.refused for load in loads),
        sum(load.broken for load in loads),
    )


async def run(url: str, script: str, *arguments: str, connections: int, seconds: float) -> Load:
    """`script` is a file of `lua/`, which gets the arguments and prints one line of JSON at its end."""
    process = await asyncio.create_subprocess_exec(
        *("wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", f"--timeout={ANSWER_SECONDS}s"),
        *("-s", str(LUA / f"{script}.lua"), url, "--", *arguments),
        env={"LUA_PATH": f"{LUA}/?.lua;;", "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    lines = [line for line in said.decode().splitlines() if line.startswith("{")]
    if process.returncode or not lines:
        raise RuntimeError(f"wrk: {said.decode()}")
    summary: dict[str, Any] = json.loads(lines[-1])
    return Load(**summary)
