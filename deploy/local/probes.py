"""Does it answer? One cheap question per kind of program, each raising until the answer is yes."""

from __future__ import annotations

import asyncio
import urllib.request

import asyncpg


async def postgres(dsn: str) -> None:
    connection = await asyncpg.connect(dsn, timeout=5)
    await connection.close()


async def redis(port: int) -> None:
    answer = await _ask(port, b"PING\r\n")
    if not answer.startswith(b"+PONG"):
        raise ConnectionError(answer.decode(errors="replace"))


async def rabbitmq(port: int, management_port: int) -> None:
    """The listeners open last in RabbitMQ's boot; polling them costs nothing, a `rabbitmqctl` call a
    second of CPU.
    """
    if not await _ask(port, b"AMQP\x00\x00\x09\x01"):
        raise ConnectionError("the broker closed the connection")
    await listening(management_port)


async def listening(port: int) -> None:
    _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 5)
    writer.close()


async def http(url: str) -> None:
    """2xx within 5 s; only ever an address of this stack."""
    await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=5).close())  # noqa: S310


async def _ask(port: int, question: bytes) -> bytes:
    reader, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), 5)
    try:
        writer.write(question)
        return await asyncio.wait_for(reader.read(64), 5)
    finally:
        writer.close()
