"""The demo's look into the rooms: one trace through them, and their readiness."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, Final

import httpx
from rich.console import Console
from rich.table import Table

from deploy.local.layout import Layout
from deploy.local.services import SERVICES

TRACE_SECONDS: Final = 5.0
"""Spans are written twice a second by each room."""

BAR: Final = 18


async def show_trace(console: Console, layout: Layout, trace_id: str) -> set[str]:
    """Prints the spans of one journey in the order in which they began; the rooms that they come from."""
    spans: list[dict[str, Any]] = []
    deadline = time.monotonic() + TRACE_SECONDS
    while time.monotonic() < deadline and sum(s["service"] == "webhook-delivery" for s in spans) < 2:
        await asyncio.sleep(0.2)
        spans = [span for span in _spans(layout) if span["trace_id"] == trace_id]
    spans.sort(key=lambda span: span["start_ns"])
    if spans:
        start = spans[0]["start_ns"]
        whole = max(span["end_ns"] for span in spans) - start
        table = Table("room", "span", "from", "took", "", box=None, padding=(0, 1))
        for span in spans:
            left = round((BAR - 1) * (span["start_ns"] - start) / whole)
            width = max(1, round(BAR * (span["end_ns"] - span["start_ns"]) / whole))
            table.add_row(
                span["service"],
                span["name"],
                f"+{(span['start_ns'] - start) / 1e6:.0f} ms",
                f"{(span['end_ns'] - span['start_ns']) / 1e6:.1f} ms",
                " " * left + "[cyan]" + "█" * width + "[/]",
            )
        console.print(f"  [dim]trace {trace_id}; every span is in {layout.log / 'traces.jsonl'}[/]")
        console.print(table)
    return {span["service"] for span in spans}


def _spans(layout: Layout) -> list[dict[str, Any]]:
    path = layout.log / "traces.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]


async def visit(console: Console, env: Mapping[str, str]) -> list[str]:
    """Readiness of all seven; what went wrong."""
    failures: list[str] = []
    async with httpx.AsyncClient(timeout=5.0) as http:
        for name in SERVICES:
            url = env[f"SEMA_OPS_URL_{name.upper().replace('-', '_')}"]
            ready = (await http.get(f"{url}/readyz")).json()
            metrics = (await http.get(f"{url}/metrics")).text
            families = sum(line.startswith("# TYPE sema_") for line in metrics.splitlines())
            checks = ", ".join(ready["checks"])
            console.print(f"  {name:<18} {ready['status']:<8} ({checks}), {families} metrics")
            if ready["status"] != "ready":
                failures.append(f"{name} is {ready['status']}: {ready['checks']}")
    return failures
