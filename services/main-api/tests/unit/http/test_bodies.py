import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from sema_common.values.errors import FieldError, Refused
from sema_main_api.http.bodies import Body, Query, parse_body, parse_value


class Item(Body):
    to: str = Field(min_length=3)
    sender: str = Field(default="X", alias="from")
    lane: str | None = None
    metadata: dict[str, str] | None = None


class Batch(Body):
    messages: list[Item]


def refused(raw: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        parse_body(raw, Item)
    return caught.value


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"to=1",
        b"\xff\xfe{}",
        b'{"to": "\xff"}',
        b'{"to": "\\ud800"}',
        b'\xef\xbb\xbf{"to": "abc"}',
        b'{"to":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"to":' + b"9" * 100_000 + b"}",
        b'{"to": "abc",}',
        b"{'to': 'abc'}",
    ],
)
def test_what_is_not_json_is_malformed(raw: bytes) -> None:
    found = refused(raw)
    assert (found.status, found.code) == (400, "malformed_body")


@pytest.mark.parametrize(
    ("raw", "errors"),
    [
        (b"{}", {"to": "required"}),
        (b"[]", {"": "wrong_type"}),
        (b"null", {"": "wrong_type"}),
        (b'{"to": 712345678}', {"to": "wrong_type"}),
        (b'{"to": null}', {"to": "wrong_type"}),
        (b'{"to": NaN}', {"to": "wrong_type"}),
        (b'{"to": "ab"}', {"to": "too_short"}),
        (b'{"to": "abc", "price": 0, "tenant_id": "x"}', {"price": "unknown_field", "tenant_id": "unknown_field"}),
        (b'{"to": "abc", "metadata": {"a": 1}}', {"metadata.a": "wrong_type"}),
        (b'{"to": "ab\\u0000c"}', {"to": "invalid_characters"}),
        (
            b'{"to": "abc", "metadata": {"a": "\\u0000", "b\\u0000": "x"}}',
            {"metadata.a": "invalid_characters", "metadata.b": "invalid_characters"},
        ),
    ],
)  # fmt: skip
def test_json_of_another_shape_is_refused_field_by_field(raw: bytes, errors: dict[str, str]) -> None:
    """OWASP API3:2023, ASVS 15.3.3."""
    found = refused(raw)
    assert (found.status, found.code) == (422, "validation_failed")
    assert {error.field: error.code for error in found.errors} == errors


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert parse_body(b'{"to": "\\\\u0000"}', Item).to == "\\u0000"


def test_a_field_deep_in_a_batch_is_named_by_its_path() -> None:
    with pytest.raises(Refused) as caught:
        parse_body(b'{"messages": [{"to": "abc"}, {"to": 1}]}', Batch)
    assert [error.field for error in caught.value.errors] == ["messages.1.to"]


def test_an_alias_is_the_name_that_errors_bear() -> None:
    with pytest.raises(Refused) as caught:
        parse_value({"to": "abc", "from": 1}, Item)
    assert [error.field for error in caught.value.errors] == ["from"]


def test_a_refusal_lists_a_hundred_errors_at_most_and_never_quotes_what_was_sent() -> None:
    body = b"{" + b",".join(b'"secret%d": "hunter2"' % n for n in range(1000)) + b"}"
    found = refused(body)
    assert len(found.errors) == 100
    assert "hunter2" not in repr([(error.field, error.detail) for error in found.errors])


@given(st.binary(max_size=200) | st.text(alphabet='{}[]":,\\u0123 to').map(str.encode))
def test_no_body_is_anything_but_taken_or_refused(raw: bytes) -> None:
    try:
        parse_body(raw, Item)
    except Refused as found:
        outcome = found.status
    else:
        outcome = 200
    assert outcome in (200, 400, 422)


def test_query_values_are_converted() -> None:
    class Filter(Query):
        limit: int = 50

    assert parse_value({"limit": "7"}, Filter).limit == 7
    with pytest.raises(Refused) as caught:
        parse_value({"limit": "7.5", "x": "1"}, Filter)
    assert [(e.field, e.code) for e in caught.value.errors] == [
        ("limit", "wrong_type"),
        ("x", "unknown_field"),
    ]
    assert isinstance(caught.value.errors[0], FieldError)
