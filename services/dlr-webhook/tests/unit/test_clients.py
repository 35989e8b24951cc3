import asyncio
import base64
from collections.abc import Sequence

from sema_common.platform.batching import GroupCommit
from sema_common.platform.bus import Outgoing
from sema_common.values import clock
from sema_common.values.errors import BrokerUnavailable
from sema_common.wire.dlr import RawDlr, RawDlrs
from sema_dlr_webhook.clients import DlrInbound


class Bus:
    """Takes what it is given, or is asked to say no after a wait, as a blocked broker does."""

    def __init__(self) -> None:
        self.taken: list[Outgoing] = []
        self.publishes = 0
        self.asked = asyncio.Event()
        self.blocked: asyncio.Event | None = None

    async def publish_many(self, outgoing: Sequence[Outgoing]) -> list[BaseException | None]:
        self.publishes += 1
        self.asked.set()
        if self.blocked is not None:
            await self.blocked.wait()
            return [BrokerUnavailable("no confirm in time")] * len(outgoing)
        self.taken += outgoing
        return [None] * len(outgoing)


def report(body: bytes) -> RawDlr:
    return RawDlr(
        aggregator="celcom", body=base64.b64encode(body), received_at=clock.now(), traceparent=body.decode()
    )


async def test_a_batch_is_one_message_and_everybody_gets_its_outcome() -> None:
    bus = Bus()
    reports = [report(b"1"), report(b"2")]
    assert await DlrInbound(bus).publish(reports) == [None, None]  # type: ignore[arg-type]
    (outgoing,) = bus.taken
    assert outgoing.message == RawDlrs(reports=tuple(reports))
    assert (outgoing.queue, outgoing.traceparent) == ("dlr.inbound", "1")


async def test_who_waited_while_a_publish_timed_out_does_not_wait_for_another() -> None:
    bus = Bus()
    blocked = bus.blocked = asyncio.Event()
    inbound = DlrInbound(bus)  # type: ignore[arg-type]
    async with GroupCommit[RawDlr, None](inbound.publish, max_batch=1, max_queue=100) as gathered:
        callers = [asyncio.create_task(gathered.submit(report(b"%d" % number))) for number in range(5)]
        async with asyncio.timeout(5):
            await bus.asked.wait()
            assert len(gathered) == 4
            blocked.set()
            outcomes = await asyncio.gather(*callers, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [BrokerUnavailable] * 5
        assert bus.publishes == 1
        bus.blocked = None
        await gathered.submit(report(b"later"))
    assert len(bus.taken) == 1
