"""The broker, as the one place where reports leave this room."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from sema_common.platform.bus import Bus, Outgoing
from sema_common.platform.faults import fault
from sema_common.platform.logs import get_logger
from sema_common.values import clock
from sema_common.values.errors import BrokerUnavailable
from sema_common.wire.dlr import RawDlr, RawDlrs
from sema_common.wire.queues import DLR_INBOUND
from sema_dlr_webhook import metrics, rules

log = get_logger()


class DlrInbound:
    """Publishes reports in bundles, confirmed."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._failed_at = datetime.min.replace(tzinfo=UTC)

    async def publish(self, reports: Sequence[RawDlr]) -> list[BaseException | None]:
        """For each report None once the broker has it, or why not.

        A blocked broker takes the whole publish timeout to say no. Who was already waiting when that happened
        shares the answer, so that nobody waits for a queue of timeouts.
        """
        if reports[-1].received_at <= self._failed_at:
            return [BrokerUnavailable("a publish has just failed", after=1.0)] * len(reports)
        bundles = list(rules.bundles(reports))
        started = time.perf_counter()
        fault("dlr.before_store")
        outcomes = await self._bus.publish_many(
            [
                Outgoing(DLR_INBOUND, RawDlrs(reports=bundle), rules.bundle_id(bundle), bundle[0].traceparent)
                for bundle in bundles
            ]
        )
        fault("dlr.after_store")
        metrics.LATENCY.observe(time.perf_counter() - started)
        answers: list[BaseException | None] = []
        for bundle, outcome in zip(bundles, outcomes, strict=True):
            metrics.BATCH.observe(len(bundle))
            answers += [outcome] * len(bundle)
            if outcome is not None:
                self._failed_at = clock.now()
                log.warning("publish_failed", reports=len(bundle), error=type(outcome).__name__)
        return answers
