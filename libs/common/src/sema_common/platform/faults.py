"""Named fault points: where a test may kill, freeze, cut off or interrupt a running room.

`fault("sender.after_claim")` does nothing unless the room was started with FAULTS_DIR, which only a local or test
environment accepts. Then the point looks into that directory: `armed.json` says what is to happen where, and
may be replaced at any moment; `{id}.{n}` is written before an arm acts, so that it acts `times` times in all,
whatever processes it kills, and so that a test can see that the point was reached. An arm with `about` acts only where
what is in hand speaks of it: one message that kills whoever touches it.

    [{"id": "7", "point": "sender.after_claim", "action": "kill", "nth": 1, "times": 1, "about": ""}]

kill    SIGKILL to this process              stop     SIGSTOP: somebody else has to wake it
drop    every connection that this process has opened is cut, in both directions
cancel  a CancelledError that nobody asked for, as client libraries raise them when a connection dies
raise   an exception that nobody expects

What must never happen here: a point that costs anything in production, or one armed there.
"""

import asyncio
import json
import os
import signal
import socket
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

Action = Literal["kill", "stop", "drop", "cancel", "raise"]

ARMED: Final = "armed.json"


class FaultInjected(Exception):
    """What `raise` raises: to the code around it a bug like any other."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Act at the `nth` time that a process comes by (with what is `about` this), and at each one after it, `times`
    times in all.
    """

    id: str
    point: str
    action: Action
    nth: int = 1
    times: int = 1
    about: str = ""


class Faults:
    """What is armed in one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._version: tuple[int, int] | None = None
        self._arms: list[Arm] = []
        self._hits: Counter[str] = Counter()

    def hit(self, point: str, about: object) -> None:
        """A process comes by, with this in hand."""
        self._look()
        for arm in self._arms:
            if arm.point != point or (arm.about and arm.about not in repr(about)):
                continue
            self._hits[arm.id] += 1
            if self._hits[arm.id] >= arm.nth and self._claim(arm):
                _act(arm.action, point)

    def _look(self) -> None:
        path = self._directory / ARMED
        try:
            found = path.stat()
        except FileNotFoundError:
            self._version, self._arms = None, []
            return
        version = (found.st_mtime_ns, found.st_ino)
        if version != self._version:
            self._version = version
            self._arms = [Arm(**entry) for entry in json.loads(path.read_text())]
            self._hits.clear()

    def _claim(self, arm: Arm) -> bool:
        """One of the times that this arm may act; a file, since it outlives us."""
        for number in range(arm.times):
            with suppress(FileExistsError):
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
                os.close(os.open(self._directory / f"{arm.id}.{number}", flags, 0o644))
                return True
        return False


_faults: Faults | None = None


def enable(directory: Path) -> None:
    """Let the points of this process look into `directory`; the runtime's, once settings have allowed it."""
    global _faults
    _faults = Faults(directory)


def enabled() -> bool:
    """Whether anything may be armed here at all."""
    return _faults is not None


def fault(point: str, about: object = None) -> None:
    """A place in the story where a test may break it. `about`: what is in hand there, looked at only by an arm."""
    if _faults is not None:
        _faults.hit(point, about)


def _act(action: Action, point: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif action == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif action == "drop":
        drop_connections()
    elif action == "cancel":
        raise asyncio.CancelledError(point)
    else:
        raise FaultInjected(point)


def drop_connections() -> None:
    """Shut every TCP connection that this process has opened; those that it accepted stay."""
    sockets = [found for name in os.listdir("/proc/self/fd") if (found := _tcp(int(name))) is not None]
    try:
        serving = {
            s.getsockname()[1] for s in sockets if s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        }
        for one in sockets:
            if one.getsockname()[1] not in serving:
                with suppress(OSError):  # not connected, or gone already
                    one.shutdown(socket.SHUT_RDWR)
    finally:
        for one in sockets:
            one.close()


def _tcp(descriptor: int) -> socket.socket | None:
    """A second handle on this descriptor, if it is a TCP socket."""
    try:
        if not os.readlink(f"/proc/self/fd/{descriptor}").startswith("socket:"):
            return None
        found = socket.socket(fileno=os.dup(descriptor))
    except OSError:  # the descriptor of the listing itself is closed by now
        return None
    if found.family in (socket.AF_INET, socket.AF_INET6) and found.type == socket.SOCK_STREAM:
        return found
    found.close()
    return None


async def after_sending(*_: Any) -> None:
    """For an HTTP client's trace: the request has left, its answer has not come."""
    fault("sender.bytes_sent")
