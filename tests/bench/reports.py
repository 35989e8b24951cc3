"""Delivery reports: taken in over HTTP, and applied from the queue."""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID, uuid4

from deploy.sandbox.celcom_wire import render
from deploy.sandbox.clock import nairobi_time
from sema_common.messages.store.accepting import NewMessage
from sema_common.messages.store.reports import Reported, apply_reports
from sema_common.platform.bus import Bus, Outgoing
from sema_common.platform.db import Database
from sema_common.values.clock import now
from sema_common.wire.dlr import RawDlr, RawDlrs
from tests.bench import backlog, wrk
from tests.bench.figures import Figure
from tests.bench.stack import BenchStack, Cost

CONNECTIONS: Final = 64
WARM_UP: Final = 2
SECONDS: Final = 8
BASELINE_SECONDS: Final = 3
TAKEN_PER_SECOND: Final = 3000

REPORTS: Final = 30_000
BASELINE_REPORTS: Final = 10_000
# About what dlr-webhook gathers under its full load.
IN_A_BUNDLE: Final = 20
AT_ONCE: Final = 100
APPLIED_PER_SECOND: Final = 4000
PATIENCE: Final = 120.0


async def taken(stack: BenchStack) -> AsyncIterator[Figure]:
    """Confirmed callbacks at 64 connections, beside a publish and a confirm for each."""
    template = '{"description":"DeliveredToTerminal","messageid":"%d","timeTaken":"1s","timestamp":"%STAMP%"}'
    template = template.replace("%STAMP%", nairobi_time(int(time.time())))
    base = stack.layout.http("dlr-webhook")
    url = f"{base}/celcom/{stack.secrets['DLR_TOKEN']}"
    async with stack.rooms("dlr-webhook"):
        bare = await wrk.run(f"{base}/healthz", "get", connections=CONNECTIONS, seconds=BASELINE_SECONDS)
        await wrk.run(url, "dlr", template, connections=CONNECTIONS, seconds=WARM_UP)
        await stack.purge("dlr.inbound")
        spent = Cost(stack)
        load = await wrk.run(url, "dlr", template, connections=CONNECTIONS, seconds=SECONDS)
        cost = spent.each(load.requests)
        bundles = await stack.depth("dlr.inbound")
    async with stack.bus() as bus:
        single = await _publish_singles(bus)
    await stack.purge("dlr.inbound")
    yield Figure(
        *("dlr-webhook, 64 connections", load.per_second, "callbacks/s", TAKEN_PER_SECOND, False),
        *("a confirmed publish each", single),
        f"{load.latencies}; {load.requests / max(bundles, 1):.0f} in a publish",
        cost=cost,
    )
    yield Figure(
        *("  beside the bare endpoint", load.per_second, "callbacks/s", None, False),
        *("GET /healthz", bare.per_second),
    )


async def applied(stack: BenchStack) -> AsyncIterator[Figure]:
    """One dlr-processor against a backlog of `delivered` reports; each moves a message and tells its fact."""
    async with (
        stack.database("main_api_pipeline") as api,
        stack.database("sms_worker_pipeline") as worker,
        stack.database("dlr_processor_pipeline") as processor,
        stack.bus() as bus,
    ):
        messages = await backlog.accepted(api, BASELINE_REPORTS)
        await backlog.sent(worker, messages, backlog.CHUNK)
        rows = await _bare_rows(processor, messages)
        messages = await backlog.accepted(api, REPORTS)
        ids = await backlog.sent(worker, messages, backlog.CHUNK)
        await _publish_reports(bus, ids)
        async with stack.rooms("dlr-processor"):
            spent = Cost(stack)
            pace = await backlog.pace(stack, messages[0].account_id, "delivered", REPORTS, PATIENCE)
            cost = spent.each(REPORTS)
    await stack.purge("webhooks.outbound")
    yield Figure(
        *("dlr-processor", pace, "reports/s", APPLIED_PER_SECOND, False),
        *(f"rows alone, {AT_ONCE} a transaction", rows),
        f"{REPORTS:,} reports, {IN_A_BUNDLE} in an AMQP message",
        cost=cost,
    )


async def _publish_singles(bus: Bus) -> float:
    """Callbacks a second, each published and confirmed alone, 64 at a time."""
    published = 0
    deadline = time.perf_counter() + BASELINE_SECONDS

    async def one_after_the_other() -> None:
        nonlocal published
        while time.perf_counter() < deadline:
            bundle = RawDlrs(reports=(_report(f"{published}"),))
            await bus.publish("dlr.inbound", bundle, event_id=uuid4())
            published += 1

    await asyncio.gather(*(one_after_the_other() for _ in range(CONNECTIONS)))
    return published / BASELINE_SECONDS


async def _publish_reports(bus: Bus, ids: Mapping[UUID, str]) -> None:
    for several in backlog.chunks(list(ids.values()), IN_A_BUNDLE * 50):
        outgoing = [
            Outgoing("dlr.inbound", RawDlrs(reports=tuple(map(_report, some))), uuid4())
            for some in backlog.chunks(several, IN_A_BUNDLE)
        ]
        for outcome in await bus.publish_many(outgoing):
            if outcome is not None:
                raise outcome


async def _bare_rows(db: Database, messages: Sequence[NewMessage]) -> float:
    """The reports' own UPDATE and event, nothing read, filed or told."""
    detail: dict[str, Any] = {"description": "DeliveredToTerminal"}
    started = time.perf_counter()
    for chunk in backlog.chunks(messages, AT_ONCE):
        async with db.transaction() as tx:
            await apply_reports(tx, [Reported(m.message_id, "delivered", now(), None, detail) for m in chunk])
    return len(messages) / (time.perf_counter() - started)


def _report(aggregator_id: str) -> RawDlr:
    body = render(0, "delivered", nairobi_time(int(time.time())), 1).replace(
        b'"0"', f'"{aggregator_id}"'.encode()
    )
    return RawDlr(
        aggregator="celcom", content_type="application/json", body=b64encode(body), received_at=now()
    )
