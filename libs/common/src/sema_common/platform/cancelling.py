"""Who cancelled? A task that is asked to end, and a library that gives up a wait, raise the same exception."""

import asyncio


def is_asked(exc: BaseException) -> bool:
    """Whether `exc` is the cancellation of the running task itself, which must be passed on.

    Client libraries reject what waits for a dying connection with a CancelledError of their own: that one is a
    failure like any other, and a loop that took it for its end would be gone without a word.
    """
    task = asyncio.current_task()
    return isinstance(exc, asyncio.CancelledError) and task is not None and task.cancelling() > 0
