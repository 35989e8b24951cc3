"""Logs: one JSON object a line on stdout, cheap enough for the hot path, and never a reason to fail.

Every line carries the service and, inside a span, its `trace_id`; rooms add `account_id` and
`message_id`, a UUID that is shown as `msg_<uuid>`.
What must never reach a line: a message's text, a secret, an unmasked number. The key names below are dropped
wherever they appear, every run of digits that could be a phone number is masked, and an exception is told by
its type, its masked text and its frames, never by its values.

Lines are written straight to the descriptor, those of one turn of the event loop together; when the disk is
full the line is lost instead of the request.
"""

import asyncio
import atexit
import functools
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import to_json

from sema_common.platform import telemetry
from sema_common.platform.imports import without

# Where a developer's tools have brought them, for a console and green threads that no service has: 8 MB each.
with without("rich", "greenlet"):
    import structlog

DROPPED_KEYS: Final = frozenset({"body", "text", "secret", "authorization", "token", "api_key", "password"})

SHORTEST_NUMBER: Final = 9
_NUMBER: Final = re.compile(rf"(?<!\d)\+?\d{{{SHORTEST_NUMBER},15}}(?!\d)")
"""E.164 allows 15 digits; national numbers of our markets have 9 or 10."""

MESSAGE: Final = "msg_"
"""How a line shows a message's id: the HTTP contract's form, which paths take too. Put on here, for all rooms."""

FRAMES: Final = 12
"""Frames of a traceback that are kept, innermost last."""

MAX_TEXT: Final = 2000
"""Characters of one value: a line stays below a pipe's atomic size in all but absurd cases."""

EventDict = MutableMapping[str, Any]


class _Stdout:
    """The place where structlog puts a rendered line.

    Lines of one turn of the event loop are written together, at its end: a busy process pays one system call
    for many lines, and an idle one writes at once. Outside a loop every line is written as it comes.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: list[bytes] = []

    def msg(self, line: bytes) -> None:
        self._lines.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if len(self._lines) == 1:  # the first line of this turn asks for the write
            loop.call_soon(self.flush)

    def flush(self) -> None:
        lines, self._lines = self._lines, []
        try:
            os.write(self._fd, b"".join(lines))
        except OSError:
            return  # a full disk or a closed pipe must not become the request's problem

    debug = info = warning = error = critical = log = msg


class _FromStdlib(logging.Handler):
    """Renders what libraries log through `logging` like our own lines."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
            if record.exc_info and record.exc_info[1] is not None:
                fields["exc_info"] = record.exc_info[1]
            _library.log(min(record.levelno, logging.ERROR), "library_log", **fields)
        except Exception:
            return


_library: Any = structlog.get_logger()


_stdout: _Stdout | None = None


def flush() -> None:
    """Write what this turn of the loop has still to write: before the process ends, however it ends."""
    if _stdout is not None:
        _stdout.flush()


def setup(service: str, level: str = "info", fd: int = 1) -> None:
    """Configure structlog and the root logger of `logging` for this process."""
    threshold = logging.getLevelNamesMapping()[level.upper()]

    def enrich(_: Any, method: str, event: EventDict) -> EventDict:
        now = time.time()
        line: EventDict = {
            "at": f"{_second(int(now))}.{int(now * 1000) % 1000:03d}Z",
            "level": method,
            "service": service,
            **event,
        }
        if (message_id := event.get("message_id")) is not None:
            line["message_id"] = f"{MESSAGE}{message_id}"
        if (trace_id := telemetry.trace_id()) is not None:
            line["trace_id"] = trace_id
        return line

    global _stdout
    _stdout = stdout = _Stdout(fd)
    atexit.register(flush)
    structlog.configure(
        processors=[enrich, describe_exception, redact, _render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=lambda *_: stdout,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers[:] = [_FromStdlib()]
    # Libraries narrate their inner life at info; ours is told by our own lines.
    root.setLevel(max(threshold, logging.WARNING))
    logging.captureWarnings(True)


@functools.lru_cache(maxsize=2)
def _second(epoch: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(epoch))


def get_logger() -> Any:
    """A structlog logger: `log.info("message_sent", message_id=…)`, events in snake_case."""
    return structlog.get_logger()


def redact(_: Any, __: str, event: EventDict) -> EventDict:
    """Drop forbidden keys and mask numbers, at every depth; identifiers (`…_id`) stay as they are."""
    for key in list(event):
        value = event[key]
        if key in DROPPED_KEYS:
            del event[key]
        elif isinstance(value, str):
            if len(value) >= SHORTEST_NUMBER and not key.endswith("_id") and key != "at":
                event[key] = mask(value)
        elif isinstance(value, (dict, list, tuple)):  # an abstract Mapping would be asked about every number
            event[key] = _redacted(value)
    return event


def mask(text: str) -> str:
    """The text with whatever looks like a phone number shortened to `2547******89`, and not without end."""
    if len(text) > MAX_TEXT:
        text = text[:MAX_TEXT] + "…"
    return _NUMBER.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    digits = match.group().lstrip("+")
    return f"{digits[:4]}******{digits[-2:]}"


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, Mapping):
        return {
            k: v if isinstance(v, str) and str(k).endswith("_id") else _redacted(v)
            for k, v in value.items()
            if k not in DROPPED_KEYS
        }
    if isinstance(value, list | tuple):
        return [_redacted(item) for item in value]
    return value


def describe_exception(_: Any, __: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by the exception's type, text and frames."""
    exc = event.pop("exc_info", None)
    if exc is None or exc is False:
        return event
    if not isinstance(exc, BaseException):
        exc = exc[1] if isinstance(exc, tuple) else sys.exc_info()[1]
    if exc is None:
        return event
    event["error"] = type(exc).__name__
    event["detail"] = safe_text(exc)
    frames = traceback.extract_tb(exc.__traceback__)[-FRAMES:]
    event["frames"] = [f"{os.path.basename(f.filename)}:{f.lineno} {f.name}" for f in frames]
    if exc.__cause__ is not None:
        event["cause"] = f"{type(exc.__cause__).__name__}: {safe_text(exc.__cause__)}"
    return event


def safe_text(exc: BaseException) -> str:
    """What an exception says, without the values that pydantic quotes."""
    if isinstance(exc, ValidationError):
        errors = exc.errors(include_input=False, include_url=False, include_context=False)
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['type']}" for e in errors[:5])
    return mask(str(exc))


def _render(_: Any, __: str, event: EventDict) -> bytes:
    return to_json(event, fallback=str, inf_nan_mode="strings") + b"\n"
