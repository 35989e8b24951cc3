"""The server's writes: what belongs together leaves together."""

import asyncio

import pytest

from sema_common.platform.server import WRITE_AT_ONCE, GatheredWrites


class Wire:
    """A transport that remembers what was written to it, one entry a call."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def close(self) -> None:
        self.sent.append(b"<closed>")

    def is_closing(self) -> bool:
        return b"<closed>" in self.sent

    def get_extra_info(self, name: str) -> str:
        return name

    def pause_reading(self) -> None:
        self.sent.append(b"<paused>")


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def writes(wire: Wire) -> GatheredWrites:
    return GatheredWrites(wire, asyncio.get_running_loop())


async def turn() -> None:
    await asyncio.sleep(0)


async def test_head_and_body_of_one_turn_are_one_write(wire: Wire, writes: GatheredWrites) -> None:
    writes.write(b"head ")
    writes.write(b"body")
    assert wire.sent == []
    await turn()
    assert wire.sent == [b"head body"]


async def test_the_next_turn_writes_again(wire: Wire, writes: GatheredWrites) -> None:
    for part in (b"one", b"two"):
        writes.write(part)
        await turn()
    assert wire.sent == [b"one", b"two"]


async def test_what_is_too_much_to_hold_leaves_at_once(wire: Wire, writes: GatheredWrites) -> None:
    writes.write(b"head")
    writes.write(b"x" * WRITE_AT_ONCE)
    assert [len(data) for data in wire.sent] == [4 + WRITE_AT_ONCE]
    await turn()
    assert len(wire.sent) == 1


async def test_a_connection_is_closed_after_its_last_answer(wire: Wire, writes: GatheredWrites) -> None:
    writes.write(b"bye")
    writes.close()
    await turn()
    assert wire.sent == [b"bye", b"<closed>"]
    assert writes.is_closing()


async def test_everything_else_is_the_transports_own(wire: Wire, writes: GatheredWrites) -> None:
    writes.pause_reading()
    assert wire.sent == [b"<paused>"]
    assert writes.get_extra_info("peername") == "peername"
