"""Ids carry their time and never go back; keys carry a checksum that proves nothing and catches typos."""

import base64
import re
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.values import ids

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.integers(0, 250_000_000_000_000_000).map(lambda us: EPOCH + timedelta(microseconds=us))


@given(moments)
def test_an_id_holds_its_millisecond(at: datetime) -> None:
    id_ = ids.new_id(at)
    assert (id_.version, id_.variant) == (7, uuid.RFC_4122)
    assert ids.id_time(id_) == at.replace(microsecond=at.microsecond // 1000 * 1000)


def test_any_zone_gives_the_same_millisecond() -> None:
    nairobi = datetime(2026, 11, 20, 12, 30, tzinfo=timezone(timedelta(hours=3)))
    assert ids.id_time(ids.new_id(nairobi)) == datetime(2026, 11, 20, 9, 30, tzinfo=UTC)


def test_ids_made_in_a_row_grow_and_differ() -> None:
    made = [ids.new_id() for _ in range(20_000)]
    assert made == sorted(set(made))


def test_ids_of_one_given_millisecond_grow() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    made = [ids.new_id(at) for _ in range(1_000)]
    assert made == sorted(set(made))
    assert {ids.id_time(id_) for id_ in made} == {at}


def test_a_time_before_1970_has_no_id() -> None:
    with pytest.raises(ValueError, match="1970"):
        ids.new_id(datetime(1969, 12, 31, tzinfo=UTC))


def test_only_a_uuid7_of_a_year_that_exists_has_a_time() -> None:
    with pytest.raises(ValueError, match="UUIDv7"):
        ids.id_time(uuid.uuid4())
    with pytest.raises(ValueError, match="9999"):
        ids.id_time(uuid.UUID(int=0xFFFF_FFFF_FFFF << 80 | 7 << 76 | 2 << 62))


def test_a_message_id_is_read_with_and_without_its_prefix() -> None:
    id_ = ids.new_id()
    assert ids.parse_message_id(f"msg_{id_}") == ids.parse_message_id(str(id_).upper()) == id_


@pytest.mark.parametrize(
    "text",
    [
        "",
        "msg_",
        "msg_1",
        "MSG_01930000-0000-7000-8000-000000000000",
        "{01930000-0000-7000-8000-000000000000}",
        "urn:uuid:01930000-0000-7000-8000-000000000000",
        "01930000000070008000000000000000",
        "01930000-0000-7000-8000-000000000000\n",
        "٠٠٠٠٠٠٠٠-0000-7000-8000-000000000000",
        "01930000-0000-4000-8000-000000000000",
        "01930000-0000-7000-0000-000000000000",
    ],
)
def test_nothing_else_is_a_message_id(text: str) -> None:
    with pytest.raises(ValueError, match=r"UUIDv7|message id"):
        ids.parse_message_id(text)


@given(st.lists(st.text()), st.lists(st.text()))
def test_event_ids_are_equal_exactly_when_their_parts_are(one: list[str], other: list[str]) -> None:
    assert (ids.event_id(*one) == ids.event_id(*other)) == (one == other)


def test_an_event_id_is_the_same_for_ever() -> None:
    # Stored for de-duplication: a change here would make every fact in flight look new.
    assert ids.event_id("msg", 1) == uuid.UUID("e5e868ba-0498-50da-a417-dd065e1f8bc0")


def test_the_checksum_is_githubs() -> None:
    assert ids.key_checksum("zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ") == "0mLq17"


@pytest.mark.parametrize("mode", ["live", "test"])
def test_a_new_key_parses_and_shows_only_its_ends(mode: ids.KeyMode) -> None:
    key = ids.api_key(mode)
    assert re.fullmatch(rf"sema_{mode}_[0-9A-Za-z]{{36}}", key.text)
    assert ids.parse_api_key(key.text) == mode
    assert key.text.startswith(key.prefix)
    assert key.text.endswith(key.last4)
    assert len(key.prefix) + len(key.last4) < len(key.text) - 20
    assert ids.api_key(mode).text != key.text


@given(st.integers(10, 45), st.sampled_from("0aZ_é"))
def test_one_wrong_character_is_caught(position: int, other: str) -> None:
    text = "sema_live_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"
    changed = text[:position] + other + text[position + 1 :]
    assert ids.parse_api_key(changed) == ("live" if changed == text else None)


@given(st.text())
def test_any_other_text_is_no_key(text: str) -> None:
    assert ids.parse_api_key(text) is None
    assert ids.parse_api_key("sema_live_" + text) is None


def test_a_key_is_stored_as_sha256() -> None:
    assert ids.hash_api_key("abc").hex().startswith("ba7816bf8f01cfea414140de5dae2223")


def test_secrets_are_long_and_of_their_kind() -> None:
    secret = ids.webhook_secret()
    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) == 32
    assert re.fullmatch(r"dlr_[0-9A-Za-z]{43}", ids.new_secret("dlr_"))
    assert ids.new_secret("") != ids.new_secret("")


def test_no_id_is_older_than_its_clock() -> None:
    assert (
        ids.first_id(datetime(939, 1, 9, tzinfo=UTC))
        == ids.first_id(datetime(1970, 1, 1, tzinfo=UTC))
        < ids.new_id()
    )
