"""The messages on RabbitMQ: what was once on a queue can be read for ever.

`golden/<type>.v<version>.json` is a message as an earlier release wrote it. Files are added, never edited: a
new optional field keeps its class readable, anything else is a new class with the next version.
"""

import json
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiormq.abc import DeliveredMessage

import sema_common.wire
from sema_common.platform.bus.delivery import Decoder
from sema_common.values.errors import Park
from sema_common.values.ids import new_id
from sema_common.wire.envelope import HEADER_EVENT_ID, HEADER_VERSION, WireMessage

GOLDEN = Path(__file__).parent / "golden"
ROOT = GOLDEN.parents[2]


def wire_classes() -> Iterator[type[WireMessage]]:
    for module in iter_modules(sema_common.wire.__path__, "sema_common.wire."):
        import_module(module.name)
    yield from sorted(WireMessage.__subclasses__(), key=lambda cls: cls.TYPE)


CUSTOMERS_OWN = {"metadata", "data"}
"""Members whose content is passed on unread."""

CLASSES = list(wire_classes())
NAMES = [f"{cls.TYPE}.v{cls.VERSION}" for cls in CLASSES]
every_class = pytest.mark.parametrize("cls", CLASSES, ids=NAMES)


def golden(cls: type[WireMessage]) -> Any:
    return json.loads((GOLDEN / f"{cls.TYPE}.v{cls.VERSION}.json").read_text())


def delivered(body: bytes, type_: str, version: object = 1) -> DeliveredMessage:
    headers = {HEADER_VERSION: version, HEADER_EVENT_ID: str(new_id())}
    properties = SimpleNamespace(message_type=type_, headers=headers)
    raw = SimpleNamespace(header=SimpleNamespace(properties=properties), body=body, delivery=None)
    return cast(DeliveredMessage, raw)


def test_every_class_has_a_golden_file_and_every_file_a_reader() -> None:
    assert sorted(NAMES) == sorted(path.name.removesuffix(".json") for path in GOLDEN.iterdir())


def test_no_two_classes_share_a_type_and_version() -> None:
    assert len(set(NAMES)) == len(NAMES)


@every_class
def test_the_golden_message_is_read_in_full(cls: type[WireMessage]) -> None:
    """What is read and written again says what the file says; fields that are newer have their defaults."""
    document = golden(cls)
    again = json.loads(cls.model_validate(document).model_dump_json())
    assert says_the_same(document, again), again


def says_the_same(old: Any, new: Any) -> bool:
    """Whether everything in `old` is in `new`."""
    if isinstance(old, dict):
        return isinstance(new, dict) and all(k in new and says_the_same(v, new[k]) for k, v in old.items())
    if isinstance(old, list):
        return isinstance(new, list) and len(old) == len(new) and all(map(says_the_same, old, new))
    return bool(old == new)


@every_class
def test_a_newer_writers_fields_are_ignored(cls: type[WireMessage]) -> None:
    def with_more(value: Any) -> Any:
        if isinstance(value, dict):
            read = {k: v if k in CUSTOMERS_OWN else with_more(v) for k, v in value.items()}
            return read | {"of_a_later_release": [1]}
        return [with_more(v) for v in value] if isinstance(value, list) else value

    assert cls.model_validate(with_more(golden(cls))) == cls.model_validate(golden(cls))


@every_class
def test_an_optional_field_may_be_missing(cls: type[WireMessage]) -> None:
    required = {name: golden(cls)[name] for name, field in cls.model_fields.items() if field.is_required()}
    cls.model_validate(required)


@every_class
def test_a_reader_parks_what_it_does_not_know(cls: type[WireMessage]) -> None:
    body = json.dumps(golden(cls)).encode()
    decode = Decoder("queue", [cls])
    assert decode(delivered(body, cls.TYPE, cls.VERSION)).message == cls.model_validate(golden(cls))
    for type_, version in ((cls.TYPE, cls.VERSION + 1), (cls.TYPE, "x"), ("no.such", 1), ("", 1)):
        with pytest.raises(Park, match="unknown message"):
            decode(delivered(body, type_, version))
    for broken in (b"", b"{}", b"[]", b"\xff", body[:-2]):
        with pytest.raises(Park, match="malformed"):
            decode(delivered(broken, cls.TYPE, cls.VERSION))


def test_golden_files_are_added_and_never_edited() -> None:
    """Every committed version of a golden file is the same file."""
    for path in GOLDEN.iterdir():
        name = path.relative_to(ROOT)
        log = subprocess.run(
            ["git", "log", "--format=%H", "--diff-filter=M", "--", str(name)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        assert not log.stdout, f"{name} was edited: a changed message is a new class with the next version"
