"""Traces: one trace runs from the POST through every queue to the customer's webhook.

A span is open around a piece of work, its identity travels as a W3C `traceparent`. The decision to record is
made once, where a trace begins, and carried along; a span that ends in an error is recorded whatever was
decided. A span that is not recorded costs a few attribute writes: the SDK is neither imported nor asked.

What must never happen here: a body, a secret or an unmasked number in an attribute.
"""

import json
import os
import random
import re
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from sema_common.values.errors import Refused

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
    from opentelemetry.trace import Tracer

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Value = str | int | float | bool

FLUSH_SECONDS = 1.0
"""How long the last spans may take to leave at shutdown; the runtime's watchdog counts on it."""

EXPORT_EVERY_MS = 500
QUEUE_SPANS = 8192
"""Spans in memory while a collector is slow; more are dropped, never waited for."""


class _State:
    """What `setup` decided for this process."""

    ratio: float = 0.0
    provider: "TracerProvider | None" = None
    tracer: "Tracer | None" = None
    root_trace_id: int = 0


_state = _State()
_current: "ContextVar[Span | None]" = ContextVar("sema_span", default=None)


def setup(
    service: str,
    version: str,
    *,
    ratio: float,
    otlp_endpoint: str | None = None,
    trace_file: str | None = None,
) -> None:
    """Choose where spans go: an OTLP/HTTP collector, a file of JSON lines, or nowhere."""
    shutdown()
    _state.ratio = ratio
    if otlp_endpoint is None and trace_file is None:
        return
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import SpanLimits, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON

    class Ids(RandomIdGenerator):
        """A trace that begins here already has its id: `Span` has drawn it, recorded or not."""

        def generate_trace_id(self) -> int:
            return _state.root_trace_id

    exporter: SpanExporter
    if otlp_endpoint is not None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=otlp_endpoint.rstrip("/") + "/v1/traces", timeout=5)
    else:
        assert trace_file is not None
        exporter = _file_exporter(service, trace_file)
    _state.provider = TracerProvider(
        sampler=ALWAYS_ON,  # `Span` asks for a recording only when it wants one
        resource=Resource.create({"service.name": service, "service.version": version}),
        id_generator=Ids(),
        span_limits=SpanLimits(max_attributes=64, max_attribute_length=512),
        shutdown_on_exit=False,
    )
    _state.provider.add_span_processor(
        BatchSpanProcessor(exporter, max_queue_size=QUEUE_SPANS, schedule_delay_millis=EXPORT_EVERY_MS)
    )
    _state.tracer = _state.provider.get_tracer("sema")


def shutdown() -> None:
    """Send what is left, for at most a second, and forget the set-up."""
    if _state.provider is not None:
        _state.provider.force_flush(int(FLUSH_SECONDS * 1000))
        _state.provider.shutdown()
    _state.provider = _state.tracer = None
    _state.ratio = 0.0


def traceparent() -> str | None:
    """The current span as a W3C header, to be handed to whoever continues the work; None outside any span."""
    span = _current.get()
    return span.traceparent if span is not None else None


def trace_id() -> str | None:
    """The 32 hex digits that join the log lines of one journey."""
    span = _current.get()
    return span.trace_id if span is not None else None


class Span:
    """An open span: `with span(…) as s:` opens it, leaving closes it. Its ids are hex text."""

    __slots__ = (
        "_attributes",
        "_kind",
        "_name",
        "_recording",
        "_started",
        "_token",
        "parent_id",
        "sampled",
        "span_id",
        "trace_id",
    )

    def __init__(
        self, name: str, kind: Kind, parent: str | None, attributes: Mapping[str, Value] | None
    ) -> None:
        self._name = name
        self._kind = kind
        self._attributes = attributes
        self._recording: Any = None
        self._token: Token[Span | None] | None = None
        self.trace_id: str
        self.parent_id: str
        self.sampled: bool
        above = _current.get() if parent is None else None
        if above is not None:
            self.trace_id, self.parent_id, self.sampled = above.trace_id, above.span_id, above.sampled
        elif parent is not None and (parsed := _parse(parent)) is not None:
            self.trace_id, self.parent_id, self.sampled = parsed
        else:
            self.trace_id, self.parent_id = f"{random.getrandbits(128) or 1:032x}", ""
            self.sampled = random.random() < _state.ratio
        # A span that nobody records has no identity of its own: its children hang on what is above it.
        self.span_id: str = self.parent_id
        self._started = 0

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"

    def set(self, key: str, value: Value) -> None:
        """Add an attribute, if anybody will see it."""
        if self._recording is not None:
            self._recording.set_attribute(key, value)

    def __enter__(self) -> Self:
        self._started = time.time_ns()
        if self.sampled and _state.tracer is not None:
            self._record()
        elif not self.span_id:
            self.span_id = f"{random.getrandbits(64) or 1:016x}"
        self._token = _current.set(self)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
        failed = isinstance(exc, Exception) and not isinstance(exc, Refused)
        if failed and self._recording is None and _state.tracer is not None:
            self._record()
        if self._recording is None:
            return
        if failed:
            from opentelemetry.trace import Status, StatusCode

            # The type only: the text of an exception may quote what the message said.
            self._recording.set_attribute("error.type", type(exc).__name__)
            self._recording.set_status(Status(StatusCode.ERROR))
        self._recording.end()

    def _record(self) -> None:
        from opentelemetry import trace
        from opentelemetry.context import Context

        assert _state.tracer is not None
        context = Context()
        if self.parent_id:
            above = trace.SpanContext(
                int(self.trace_id, 16),
                int(self.parent_id, 16),
                is_remote=True,
                trace_flags=trace.TraceFlags(1),
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(above), context)
        _state.root_trace_id = int(self.trace_id, 16)
        self._recording = _state.tracer.start_span(
            self._name,
            context,
            kind=trace.SpanKind[self._kind.upper()],
            attributes=self._attributes,
            start_time=self._started,
        )
        self.span_id = f"{self._recording.get_span_context().span_id:016x}"


def span(
    name: str,
    kind: Kind = "internal",
    parent: str | None = None,
    attributes: Mapping[str, Value] | None = None,
) -> Span:
    """A span below `parent` (a `traceparent`), or below the current span, or at a trace's start."""
    return Span(name, kind, parent, attributes)


_TRACEPARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
"""W3C Trace Context: lower-case hex; a later version may have more fields behind."""


def _parse(header: str) -> tuple[str, str, bool] | None:
    """Trace id, span id and the sampled flag of a W3C traceparent; None if it is malformed."""
    match = _TRACEPARENT.fullmatch(header)
    if match is None or match[1] == "ff" or not match[2].strip("0") or not match[3].strip("0"):
        return None
    return match[2], match[3], bool(int(match[4], 16) & 1)


def _file_exporter(service: str, path: str) -> "SpanExporter":
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class FileExporter(SpanExporter):
        """One JSON line a span; whole batches are one append, so that processes may share the file."""

        def export(self, spans: "Sequence[ReadableSpan]") -> "SpanExportResult":
            lines = "".join(json.dumps(_line(service, span)) + "\n" for span in spans)
            try:
                fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
                try:
                    os.write(fd, lines.encode())
                finally:
                    os.close(fd)
            except OSError:
                return SpanExportResult.FAILURE
            return SpanExportResult.SUCCESS

    return FileExporter()


def _line(service: str, span: "ReadableSpan") -> dict[str, Any]:
    context = span.get_span_context()
    return {
        "service": service,
        "name": span.name,
        "kind": span.kind.name.lower(),
        "trace_id": f"{context.trace_id:032x}" if context is not None else "",
        "span_id": f"{context.span_id:016x}" if context is not None else "",
        "parent_id": f"{span.parent.span_id:016x}" if span.parent is not None else "",
        "start_ns": span.start_time,
        "end_ns": span.end_time,
        "error": not span.status.is_ok and not span.status.is_unset,
        "attributes": dict(span.attributes or {}),
    }
