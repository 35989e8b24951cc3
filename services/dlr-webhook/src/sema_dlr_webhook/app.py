"""Composition root: the broker, the group commit in front of it, the door in front of that."""

from sema_common.platform.batching import GroupCommit
from sema_common.platform.bus import Bus
from sema_common.platform.runtime import Room
from sema_common.values.errors import RetryLater
from sema_common.wire.dlr import MAX_REPORTS, RawDlr
from sema_dlr_webhook.clients import DlrInbound
from sema_dlr_webhook.endpoints import Door
from sema_dlr_webhook.settings import Settings


async def open_room(room: Room, settings: Settings) -> None:
    """Closed in reverse: the door shuts, what was taken is published, the broker goes last."""
    bus = await room.open(Bus.open(settings.amqp_url, name="dlr-webhook"))
    room.ready_when("broker", bus.check)
    inbound = DlrInbound(bus)
    gathered = await room.open(
        GroupCommit[RawDlr, None](
            inbound.publish,
            max_batch=MAX_REPORTS,
            max_queue=settings.max_waiting,
            workers=settings.publishes_in_flight,
        )
    )

    async def check() -> None:
        """What /readyz on the public port asks: a load balancer must also see that we drain."""
        if room.draining:
            raise RetryLater("draining")
        await bus.check()

    door = Door(settings.dlr_tokens, gathered.submit, check, settings.max_held_bytes)
    await room.serve_http(door, settings.http_host, settings.http_port)
