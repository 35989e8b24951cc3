"""Puts a body back on `dlr.inbound`, after the decision is committed. Twice does no harm: reports only climb."""

from sema_common.platform.bus import Bus
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now
from sema_common.values.errors import RetryLater
from sema_common.values.ids import event_id
from sema_common.wire.dlr import RawDlr, RawDlrs
from sema_common.wire.queues import DLR_INBOUND
from sema_main_api.admin.quarantine import store

log = get_logger()


class Telling:
    def __init__(self, db: Database, bus: Bus) -> None:
        self._db = db
        self._bus = bus

    async def tell(self, entry: store.Body) -> bool:
        """False: RabbitMQ is away, and the loop publishes it."""
        report = RawDlr.model_construct(
            aggregator=entry.aggregator,
            source="push",
            content_type=entry.content_type,
            query=entry.query,
            body=entry.body,
            received_at=entry.received_at,
            traceparent=None,
        )
        message = RawDlrs.model_construct(reports=(report,))
        try:
            await self._bus.publish(DLR_INBOUND, message, event_id=event_id("quarantine.reread", entry.id))
        except RetryLater as exc:
            log.warning("reread_not_told", detail=exc.detail)
            return False
        async with self._db.transaction() as tx:
            await store.mark_told(tx, entry.id, now())
        return True
