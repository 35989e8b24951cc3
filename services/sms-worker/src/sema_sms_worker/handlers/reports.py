"""Delivery reports of test mode: they travel through `dlr.inbound` like any other.

They leave as soon as the submit is recorded, without a delay: a timer in memory would not survive a crash, and
a real report may be just as quick.
"""

from base64 import b64encode
from collections.abc import Sequence

from sema_common.platform.bus import Bus, Outgoing
from sema_common.values import clock
from sema_common.values.ids import event_id
from sema_common.wire.dlr import MAX_REPORTS, RawDlr, RawDlrs
from sema_common.wire.queues import DLR_INBOUND
from sema_common.wire.sms import SmsJob
from sema_sms_worker.clients.ways import reports_of_test
from sema_sms_worker.rules.jobs import TEST, bulks


class TestReports:
    """Publishes the reports that test mode's aggregator would push."""

    __test__ = False

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def publish(self, jobs: Sequence[SmsJob], *, early: bool) -> None:
        """BrokerUnavailable if any was not confirmed; publishing all again is harmless."""
        now = clock.now()
        reports = [
            RawDlr(
                aggregator=TEST,
                source="test",
                content_type="application/json",
                body=b64encode(body),
                received_at=now,
                traceparent=job.traceparent,
            )
            for job in jobs
            for body in reports_of_test(job, early=early)
        ]
        results = await self._bus.publish_many(
            [
                Outgoing(
                    DLR_INBOUND,
                    RawDlrs(reports=tuple(some)),
                    event_id("dlr.raw", *(report.body for report in some)),
                    some[0].traceparent,
                )
                for some in bulks(reports, MAX_REPORTS)
            ]
        )
        for failed in results:
            if failed is not None:
                raise failed
