"""Traces: one trace through every room, recorded by ratio, and always when something fails."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sema_common.platform import telemetry
from sema_common.values.errors import Refused, RetryLater

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = PARENT[:-2] + "00"

Spans = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def spans(tmp_path: Path) -> Iterator[Spans]:
    path = tmp_path / "spans"
    telemetry.setup("room", "1.2", ratio=1.0, trace_file=str(path))

    def read() -> list[dict[str, Any]]:
        telemetry.shutdown()
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    yield read
    telemetry.shutdown()


def test_a_child_continues_its_parents_trace(spans: Spans) -> None:
    with telemetry.span("outer", "server", PARENT) as outer:
        with telemetry.span("inner", attributes={"n": 1}) as inner:
            assert inner.trace_id == outer.trace_id == PARENT[3:35]
            assert telemetry.traceparent() == f"00-{inner.trace_id}-{inner.span_id}-01"
        assert telemetry.trace_id() == outer.trace_id
    assert telemetry.traceparent() is None
    inner_line, outer_line = spans()
    assert outer_line["parent_id"] == PARENT[36:52]
    assert inner_line["parent_id"] == outer_line["span_id"]
    assert {inner_line["trace_id"], outer_line["trace_id"]} == {PARENT[3:35]}
    assert (outer_line["kind"], inner_line["attributes"], outer_line["service"]) == (
        "server",
        {"n": 1},
        "room",
    )


def test_a_trace_that_begins_here_has_no_parent_and_its_announced_id(spans: Spans) -> None:
    with telemetry.span("root") as root:
        pass
    (line,) = spans()
    assert (line["trace_id"], line["parent_id"], line["error"]) == (root.trace_id, "", False)


def test_the_callers_decision_not_to_record_is_kept(spans: Spans) -> None:
    with telemetry.span("outer", parent=UNSAMPLED), telemetry.span("inner"):
        assert telemetry.traceparent() == UNSAMPLED
    assert spans() == []


def test_an_error_is_recorded_whatever_was_decided(spans: Spans) -> None:
    with pytest.raises(RetryLater), telemetry.span("work", parent=UNSAMPLED):
        raise RetryLater("the text may quote a customer")
    (line,) = spans()
    assert (line["name"], line["error"]) == ("work", True)
    assert line["attributes"] == {"error.type": "RetryLater"}
    assert line["parent_id"] == UNSAMPLED[36:52]


def test_a_refusal_is_an_answer_not_an_error(spans: Spans) -> None:
    with pytest.raises(Refused), telemetry.span("work", parent=UNSAMPLED):
        raise Refused("invalid_number", "no such number")
    assert spans() == []


def test_attributes_can_be_added_on_the_way(spans: Spans) -> None:
    with telemetry.span("work") as span:
        span.set("outcome", "sent")
    assert spans()[0]["attributes"] == {"outcome": "sent"}


@pytest.mark.parametrize(
    "header", ["", "garbage", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", "00-xyz-1-01", "ff" + PARENT[2:]]
)
def test_a_malformed_parent_begins_a_new_trace(header: str) -> None:
    with telemetry.span("work", parent=header) as span:
        assert len(span.trace_id) == 32
        assert len(span.span_id) == 16
        assert span.trace_id != PARENT[3:35]


def test_the_ratio_decides_at_the_start_of_a_trace(tmp_path: Path) -> None:
    telemetry.setup("room", "1", ratio=0.0, trace_file=str(tmp_path / "none"))
    with telemetry.span("work") as span:
        assert not span.sampled
        assert span.traceparent.endswith("-00")
    telemetry.setup("room", "1", ratio=1.0)
    with telemetry.span("work") as span:
        assert span.sampled
    telemetry.shutdown()
