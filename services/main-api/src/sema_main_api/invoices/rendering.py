"""PDFs are made in a process of their own: some 100 ms of pure Python, which neither the event loop nor a thread of
this process can spare.
"""

import asyncio
import multiprocessing
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager
from typing import Final

from sema_common.billing.invoices.following import Invoice
from sema_common.billing.invoices.rules import Line
from sema_common.values.errors import Overloaded
from sema_main_api.invoices import metrics

IN_HAND: Final = 20
"""PDFs that wait; whoever comes then is told to come back."""

SECONDS: Final = 20.0
PER_CHILD: Final = 500
"""Documents that one process makes: whatever a library forgets to free goes with it."""


class Renderer:
    """Renders one after the other. The process is started by the first one that is asked for."""

    def __init__(self) -> None:
        self._pool = self._new_pool()
        self._in_hand = 0

    @classmethod
    @asynccontextmanager
    async def open(cls) -> "AsyncIterator[Renderer]":
        renderer = cls()
        try:
            yield renderer
        finally:
            renderer._pool.shutdown(wait=False, cancel_futures=True)

    async def render(self, invoice: Invoice, lines: Sequence[Line]) -> bytes:
        """The PDF; Overloaded when too many are wanted at once, or the process was killed meanwhile."""
        if self._in_hand >= IN_HAND:
            raise Overloaded("too many PDFs at once", after=2.0)
        self._in_hand += 1
        pool = self._pool
        try:
            async with asyncio.timeout(SECONDS):
                pdf = await asyncio.get_running_loop().run_in_executor(pool, _render, invoice, lines)
        except (BrokenProcessPool, TimeoutError):
            metrics.PDFS.labels("lost").inc()
            if pool is self._pool:
                self._pool = self._new_pool()
                _kill(pool)
            raise Overloaded("the PDF could not be made now", after=1.0) from None
        finally:
            self._in_hand -= 1
        metrics.PDFS.labels("made").inc()
        return pdf

    @staticmethod
    def _new_pool() -> ProcessPoolExecutor:
        # spawn: a fork would take this process's sockets and locks along.
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=PER_CHILD)


def _kill(pool: ProcessPoolExecutor) -> None:
    """End its process, which may be stuck. Whoever waits for it is told (BrokenProcessPool), and not cancelled."""
    for process in list((pool._processes or {}).values()):
        process.kill()
    pool.shutdown(wait=False)


def _render(invoice: Invoice, lines: Sequence[Line]) -> bytes:
    """Imported where it is needed: the library and its fonts stay out of the service's memory and of its start."""
    from sema_main_api.invoices import document

    return document.render(invoice, lines)
