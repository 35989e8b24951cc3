"""Logs: complete lines of JSON, without bodies, secrets or numbers, whatever happens to stdout."""

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import BaseModel, ValidationError

from sema_common.platform import logs, telemetry


class Captured:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)

    @property
    def text(self) -> str:
        return self._path.read_text()

    @property
    def last(self) -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self.text.splitlines()[-1])
        return line


@pytest.fixture
def out(tmp_path: Path) -> Iterator[Captured]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    captured = Captured(tmp_path / "log")
    logs.setup("room", "info", captured.fd)
    yield captured
    os.close(captured.fd)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_a_line_is_json_with_the_service_and_what_was_said(out: Captured) -> None:
    logs.get_logger().info("message_sent", message_id="m1", parts=2)
    line = out.last
    assert line["event"] == "message_sent"
    assert (line["service"], line["level"], line["message_id"], line["parts"]) == (
        "room",
        "info",
        "msg_m1",
        2,
    )
    assert line["at"].endswith("Z")


def test_lines_below_the_level_are_not_written(out: Captured) -> None:
    logs.get_logger().debug("detail")
    assert out.text == ""


def test_a_line_inside_a_span_bears_its_trace(out: Captured) -> None:
    with telemetry.span("work") as span:
        logs.get_logger().info("inside")
    assert out.last["trace_id"] == span.trace_id
    logs.get_logger().info("outside")
    assert "trace_id" not in out.last


@pytest.mark.parametrize("number", ["+254712345678", "254712345678", "0712345678", "whatsapp:+254712345678"])
def test_numbers_are_masked_wherever_they_stand(out: Captured, number: str) -> None:
    logs.get_logger().info("x", to=number, detail=f"sent to {number}.", nested={"a": [number, {"b": number}]})
    assert "712345" not in out.text
    assert "******78" in out.text


def test_identifiers_are_left_alone(out: Captured) -> None:
    logs.get_logger().info("x", aggregator_id="254712345678")
    assert out.last["aggregator_id"] == "254712345678"


@pytest.mark.parametrize("key", ["body", "text", "secret", "authorization", "token", "api_key", "password"])
def test_bodies_and_secrets_are_dropped_at_every_depth(out: Captured, key: str) -> None:
    logs.get_logger().info("x", **{key: "canary"}, nested={key: "canary", "list": [{key: "canary"}]})
    assert "canary" not in out.text


class Model(BaseModel):
    count: int


def test_an_exception_is_told_by_type_text_and_frames_without_values(out: Captured) -> None:
    try:
        Model.model_validate({"count": "my secret text"})
    except ValidationError:
        logs.get_logger().exception("failed")
    line = out.last
    assert line["error"] == "ValidationError"
    assert line["detail"] == "count: int_parsing"
    assert any("test_logs.py" in frame for frame in line["frames"])
    assert "my secret text" not in out.text


def test_the_cause_of_an_exception_is_named(out: Captured) -> None:
    try:
        try:
            raise OSError("no route to +254712345678")
        except OSError as exc:
            raise RuntimeError("outer") from exc
    except RuntimeError:
        logs.get_logger().exception("failed")
    assert out.last["cause"] == "OSError: no route to 2547******78"


def test_what_libraries_log_is_rendered_the_same_way(out: Captured) -> None:
    logging.getLogger("aiormq").warning("lost %s for %s", "connection", "+254712345678")
    line = out.last
    assert (line["event"], line["logger"], line["level"]) == ("library_log", "aiormq", "warning")
    assert line["message"] == "lost connection for 2547******78"


def test_a_full_disk_or_a_closed_pipe_loses_the_line_not_the_request() -> None:
    read, write = os.pipe()
    os.close(read)
    logs.setup("room", "info", write)
    try:
        logs.get_logger().info("nobody_reads")
    finally:
        os.close(write)
        structlog.reset_defaults()


def test_values_that_json_does_not_know_are_still_written(out: Captured) -> None:
    logs.get_logger().info("x", error_class=ValueError, odd=object(), number=float("nan"))
    assert out.last["event"] == "x"


def test_a_very_long_value_is_cut(out: Captured) -> None:
    logs.get_logger().info("x", detail="y" * 100_000)
    assert len(out.text) < 3 * logs.MAX_TEXT
