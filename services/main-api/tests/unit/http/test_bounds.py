"""OWASP API4:2023, ASVS 2.2.1: no body is deeper or longer than somebody has thought of."""

from collections.abc import Iterator
from typing import Any

import pytest

from sema_common.values.errors import Refused
from sema_main_api.app import OPERATIONS
from sema_main_api.http.bodies import Body, parse_body, parse_json
from sema_main_api.http.openapi import document

DOCUMENT = document(OPERATIONS, "0")
BY_SIZE_ALONE = {"POST /v1/admin/dlq/{queue}/messages/{id}/republish payload"}
"""What a queue held, as staff correct it: judged as the wire message that it is, within 1 MB."""


class Nested(Body):
    inner: list[Any]


def unbounded(schema: dict[str, Any], where: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Lists and maps without a largest number of items."""
    if (name := schema.get("$ref", "").rpartition("/")[2]) and name not in seen:
        yield from unbounded(DOCUMENT["components"]["schemas"][name], where, seen | {name})
    if schema.get("type") == "array" and "maxItems" not in schema:
        yield where
    if schema.get("additionalProperties") and "maxProperties" not in schema:
        yield where
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from unbounded(each, where, seen)
    for field, each in schema.get("properties", {}).items():
        yield from unbounded(each, f"{where} {field}", seen)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from unbounded(schema[key], where, seen)


def test_every_list_in_a_body_is_bounded() -> None:
    found = [
        where
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
        for content in operation.get("requestBody", {}).get("content", {}).values()
        for where in unbounded(content["schema"], f"{method.upper()} {path}")
    ]
    assert set(found) == BY_SIZE_ALONE


@pytest.mark.parametrize("depth", [300, 100_000])
def test_a_body_that_nests_without_end_is_malformed(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    for parse in (lambda: parse_body(b'{"inner": %b}' % deep, Nested), lambda: parse_json(deep)):
        with pytest.raises(Refused) as refused:
            parse()
        assert (refused.value.status, refused.value.code) == (400, "malformed_body")
