"""What is read out of a dead letter, and what is hidden of it."""

import json
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.values.clock import now
from sema_common.values.ids import new_id
from sema_main_api.admin.dead_letters.rules.known import Known, fate
from sema_main_api.admin.dead_letters.rules.letters import Letter, open_letter
from sema_main_api.admin.dead_letters.rules.masking import headers_shown, masked

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


def letter(body: bytes, type_: str = "sms.jobs", version: str = "1", **headers: Any) -> Letter:
    return Letter(uuid4(), "sms.normal", "x", type_, version, headers, body, 6, now(), "open")


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_body_is_so_wrong_that_it_cannot_be_opened(body: bytes) -> None:
    opened = open_letter(letter(body))
    assert opened.message is None
    assert opened.problems
    assert opened.named.jobs == {}


@pytest.mark.parametrize("key", ["jobs", "attempts", "facts", "reports"])
@given(items=JSON)
def test_whatever_stands_where_items_should_is_read_for_ids_only(key: str, items: Any) -> None:
    open_letter(letter(json.dumps({key: items, "campaign_id": items}).encode()))


def test_ids_are_found_in_a_body_that_nobody_can_read() -> None:
    first, second = new_id(), new_id()
    body = {
        "jobs": [
            {"message_id": str(first), "attempt": 2},
            {"message_id": str(second)},
            {"message_id": str(uuid4())},
        ]
    }
    opened = open_letter(letter(json.dumps(body).encode()))
    assert opened.message is None
    assert opened.named.jobs == {first: 2, second: None}


def test_an_unknown_version_says_what_the_queue_carries() -> None:
    opened = open_letter(letter(b"{}", version="9"))
    assert (opened.problems[0].field, opened.problems[0].code) == ("type", "unknown_type")
    assert "sms.jobs 1" in opened.problems[0].detail


@pytest.mark.parametrize(
    "payload",
    [
        {"to": "+254712345678"},
        {"phone": 254712345678},
        {"body": "call 0712345678"},
        {"new_field_of_next_year": "Wanjiku"},
        {"metadata": {"message_id": "Wanjiku"}},
        {"sender": "0712345678"},
        {"code": 254712345678},
        {"reports": [{"body": "V2FuamlrdQ==", "query": "msisdn=254712345678"}]},
        {
            "facts": [
                {"data": {"to": "+254712345678", "body": "Wanjiku"}, "callback_url": "https://x/Wanjiku"}
            ]
        },
        ["Wanjiku", "+254712345678"],
        "Wanjiku +254712345678",
    ],
)
def test_no_number_and_no_text_is_shown(payload: Any) -> None:
    shown = json.dumps(masked(payload))
    for secret in ("712345678", "Wanjiku", "V2FuamlrdQ=="):
        assert secret not in shown


def test_what_a_mender_needs_is_shown() -> None:
    message_id, other = str(new_id()), "12345678-1234-7234-8234-123456789012"
    payload = {
        "jobs": [{"message_id": message_id, "tenant_id": other, "cost": "0.8000", "attempt": 1, "test": True}]
    }
    assert masked(payload) == payload


def test_headers_of_others_are_hidden() -> None:
    assert headers_shown({"version": "1", "x-death": "…", "note": "+254712345678"}) == {
        "version": "1",
        "x-death": "…",
        "note": "(13 characters)",
    }


def test_a_message_nobody_knows_is_nobodys_to_submit() -> None:
    assert fate(Known(), new_id(), 1, now()) == "unknown"
