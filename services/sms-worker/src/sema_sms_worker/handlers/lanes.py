"""What comes over the queue of one lane: jobs and settlements, side by side, so that neither waits for the other."""

from collections.abc import Coroutine, Sequence
from typing import Any

from sema_common.platform.bus import Delivery
from sema_common.wire.sms import SettleAttempts, SmsJobs
from sema_sms_worker.handlers.settle import Settle
from sema_sms_worker.handlers.submit import SubmitJobs, all_of

Message = SmsJobs | SettleAttempts


class LaneHandler:
    """The handler of a lane's batches."""

    def __init__(self, submit: SubmitJobs, settle: Settle) -> None:
        self._submit = submit
        self._settle = settle

    async def handle(self, deliveries: Sequence[Delivery[Message]]) -> None:
        """Both are carried through before either's failure is raised."""
        messages = [delivery.message for delivery in deliveries]
        bundles = [message for message in messages if isinstance(message, SmsJobs)]
        doubts = [message for message in messages if isinstance(message, SettleAttempts)]
        work: list[Coroutine[Any, Any, None]] = []
        if bundles:
            work.append(self._submit.handle(bundles))
        if doubts:
            work.append(self._settle.handle(doubts))
        await all_of(*work)
