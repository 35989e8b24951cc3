"""TCP proxies in front of the stores that fail on command: what a network, or a peer that has gone, does.

One process for all of them, with a door of its own; part of a stack that is started with SEMA_STORE_PROXIES=1:

    python -m deploy.local.proxies --control 21054 postgres=21051:21001 redis=21052:21002

    GET  /{name}                     connections, cuts
    PUT  /{name} {"latency_ms": 50}  how it behaves from now on; what is not named is as it should be
    POST /{name}/{cut,close,mute}    done once, to the connections that are open now
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Self

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CHUNK: Final = 65_536
ANSWER_SLIPS_SECONDS: Final = 0.1
"""How long an answer is held back after `cut_after` has seen its word: the peer has acted by then."""


@dataclass
class Behaviour:
    """`latency_ms`: each way. `slice`: at most so many bytes at a time. `swallow`: nothing arrives, in either
    direction, and nobody is told (a connection that has lost bytes stays silent ever after). `refuse`: new
    connections are reset. `cut_after`: a client's message with this word arrives with `chance`, and its
    connection is cut before the answer.
    """

    latency_ms: float = 0.0
    slice: int = 0
    swallow: bool = False
    refuse: bool = False
    cut_after: str = ""
    chance: float = 1.0


@dataclass(eq=False)
class Pair:
    """One client's connection and ours to the target."""

    client: asyncio.StreamWriter
    target: asyncio.StreamWriter
    silent: bool = False

    def end(self, *, reset: bool) -> None:
        for writer in (self.client, self.target):
            if reset:
                with contextlib.suppress(OSError, AttributeError):
                    found: socket.socket = writer.get_extra_info("socket")
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
            else:
                writer.close()


class Proxy:
    """Listens on `port` and forwards to `target`, both on loopback."""

    def __init__(self, port: int, target: int) -> None:
        self._port = port
        self._target = target
        self._server: asyncio.Server
        self._pairs: set[Pair] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.behaviour = Behaviour()
        self.cuts = 0

    @property
    def connections(self) -> int:
        return len(self._pairs)

    def cut(self) -> None:
        """Reset every connection."""
        for pair in self._pairs:
            pair.end(reset=True)

    def close(self) -> None:
        """End every connection in the orderly way."""
        for pair in self._pairs:
            pair.end(reset=False)

    def mute(self) -> None:
        """Every connection of now goes half-open: it stays, and nothing comes through it any more."""
        for pair in self._pairs:
            pair.silent = True

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            if self.behaviour.refuse:
                raise ConnectionRefusedError
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = Pair(writer, up_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(
                self._pump(pair, reader, up_writer, of_client=True),
                self._pump(pair, up_reader, writer, of_client=False),
            )
        finally:
            self._pairs.discard(pair)
            for each in (writer, up_writer):
                each.transport.abort()

    async def _pump(
        self, pair: Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, of_client: bool
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                how = self.behaviour
                pair.silent = pair.silent or how.swallow
                if pair.silent:
                    continue
                if how.latency_ms:
                    await asyncio.sleep(how.latency_ms / 1000)
                doomed = of_client and self._is_doomed(how, data)
                if doomed:
                    pair.silent = True  # before the target can answer
                for start in range(0, len(data), how.slice or CHUNK):
                    writer.write(data[start : start + (how.slice or CHUNK)])
                    await writer.drain()
                    if how.slice:
                        await asyncio.sleep(0)
                if doomed:
                    self.cuts += 1
                    await asyncio.sleep(ANSWER_SLIPS_SECONDS)
                    pair.end(reset=True)
                    return
        with contextlib.suppress(OSError, RuntimeError):
            writer.close()

    @staticmethod
    def _is_doomed(how: Behaviour, data: bytes) -> bool:
        return bool(how.cut_after) and how.cut_after.encode() in data and random.random() < how.chance


def door(proxies: Mapping[str, Proxy]) -> Starlette:
    """The program's own door."""

    async def show(request: Request) -> Response:
        proxy = proxies[request.path_params["name"]]
        state = {"connections": proxy.connections, "cuts": proxy.cuts, **asdict(proxy.behaviour)}
        return JSONResponse(state)

    async def behave(request: Request) -> Response:
        proxies[request.path_params["name"]].behaviour = Behaviour(**await request.json())
        return await show(request)

    async def act(request: Request) -> Response:
        proxy = proxies[request.path_params["name"]]
        {"cut": proxy.cut, "close": proxy.close, "mute": proxy.mute}[request.path_params["what"]]()
        return await show(request)

    async def health(_: Request) -> Response:
        return Response()

    return Starlette(
        routes=[
            Route("/healthz", health),
            Route("/{name}", show, methods=["GET"]),
            Route("/{name}", behave, methods=["PUT"]),
            Route("/{name}/{what}", act, methods=["POST"]),
        ]
    )


async def serve(control: int, stores: Mapping[str, tuple[int, int]]) -> None:
    """`stores`: name to (port, target port)."""
    proxies = {name: Proxy(port, target) for name, (port, target) in stores.items()}
    async with contextlib.AsyncExitStack() as opened:
        for proxy in proxies.values():
            await opened.enter_async_context(proxy)
        config = uvicorn.Config(
            door(proxies), host="127.0.0.1", port=control, log_level="warning", access_log=False
        )
        await uvicorn.Server(config).serve()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("stores", nargs="+", metavar="NAME=PORT:TARGET")
    arguments = parser.parse_args()
    stores = {}
    for each in arguments.stores:
        name, _, ports = each.partition("=")
        port, _, target = ports.partition(":")
        stores[name] = (int(port), int(target))
    uvloop.run(serve(arguments.control, stores))


if __name__ == "__main__":
    main()
