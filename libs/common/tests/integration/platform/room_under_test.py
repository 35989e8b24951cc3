"""A room of its own process for `test_runtime`: what it does is told by `ROOM`, a word for each case."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID

from pydantic import Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sema_common.platform import logs, runtime
from sema_common.platform.bus import Bus, Delivery
from sema_common.platform.db import Database
from sema_common.platform.settings import ServiceSettings
from sema_common.wire.content import ScreenCampaign

log = logs.get_logger()

POISON: Final = UUID(int=13)
"""The campaign that the case `crashes` dies of."""


class Settings(ServiceSettings):
    room: str = Field(default="", description="The case that is tested.")
    port: int = Field(default=0, description="Port of the room's own HTTP.")


async def open_room(room: runtime.Room, settings: Settings) -> None:
    if settings.room == "bug":
        await room.open(_telling("first"), "first")
        raise KeyError("a bug in open_room")
    db = await room.open(Database.open(settings.database_url, name="room"))
    bus = await room.open(Bus.open(settings.amqp_url, name="room"))
    room.ready_when("postgres", db.check_writable)
    room.ready_when("rabbitmq", bus.check)
    await room.open(_telling("opened_first"), "first")
    if settings.room == "hangs":
        await room.open(_hanging(), "the hanging one")
    if settings.room == "frozen":
        await room.open(_freezing(), "the freezing one")

    closing = asyncio.Event()

    async def slow(_: Request) -> Response:
        log.info("request_began")
        await closing.wait()
        return PlainTextResponse("finished")

    async def handle(delivery: Delivery[ScreenCampaign]) -> None:
        log.info("handler_began")
        if settings.room == "crashes" and delivery.message.campaign_id == POISON:
            logs.flush()  # a neighbour of this turn may have been acknowledged: its line must not be lost
            os.kill(os.getpid(), signal.SIGKILL)
        if settings.room != "crashes":
            await closing.wait()
        log.info("handler_finished", campaign_id=str(delivery.message.campaign_id))

    async def tick() -> None:
        log.info("tick")

    await room.every("tick", 30.0, tick)
    await room.open(bus.consume("sms.content", [ScreenCampaign], handle, prefetch=4))
    port = await room.serve_http(Starlette(routes=[Route("/slow", slow)]), "127.0.0.1", settings.port)
    await room.open(_setting(closing), "the event")
    log.info("serving", port=port)


@asynccontextmanager
async def _telling(name: str) -> Any:
    yield None
    log.info(f"{name}_closed")


@asynccontextmanager
async def _setting(closing: asyncio.Event) -> Any:
    """Opened last, so closed first: what is in hand when the end begins goes on from here."""
    yield None
    closing.set()


@asynccontextmanager
async def _hanging() -> Any:
    yield None
    await asyncio.Event().wait()


@asynccontextmanager
async def _freezing() -> Any:
    yield None
    import time

    time.sleep(60)  # noqa: ASYNC251 - the event loop itself hangs


if __name__ == "__main__":
    runtime.run("room", Settings, open_room)
