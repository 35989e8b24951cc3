"""PDFs are made in a process that may get stuck or be killed: nobody else notices more than *come back*."""

import asyncio
import multiprocessing
import operator
import time
from typing import Any, cast

import pytest

from sema_common.values.errors import Overloaded
from sema_main_api.invoices import rendering
from sema_main_api.invoices.rendering import Renderer


async def work(renderer: Renderer, function: Any, argument: Any) -> Any:
    """What the process makes of them in place of an invoice and its lines."""
    return await renderer.render(cast(Any, function), cast(Any, argument))


async def test_a_stuck_process_is_killed_and_whoever_waits_behind_it_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rendering, "_render", operator.call)
    before = set(multiprocessing.active_children())
    async with Renderer.open() as renderer:
        assert await work(renderer, abs, -3) == 3
        [child] = set(multiprocessing.active_children()) - before
        monkeypatch.setattr(rendering, "SECONDS", 0.05)
        stuck = asyncio.create_task(work(renderer, time.sleep, 600))
        await asyncio.sleep(0)
        monkeypatch.setattr(rendering, "SECONDS", 15.0)
        told = await asyncio.gather(
            stuck, *(work(renderer, abs, -n) for n in range(4)), return_exceptions=True
        )
        assert [type(each) for each in told] == [Overloaded] * 5
        await asyncio.to_thread(child.join, 15.0)
        assert child.exitcode is not None
        assert await work(renderer, abs, -4) == 4
