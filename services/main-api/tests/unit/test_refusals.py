"""What the content rules refused: each text once, and of a flood only a sample."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from sema_main_api.admin.content_rules.rules import mask
from sema_main_api.messaging.rules import refusals
from sema_main_api.messaging.rules.refusals import Refusals

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
WHY = [{"check": "spam", "detail": "phishing"}]


def test_the_same_text_of_an_account_counts_up_and_is_taken_once() -> None:
    held, account = Refusals(), uuid4()
    held.note(account, "buy", WHY, NOON)
    held.note(account, "buy", WHY, NOON + timedelta(seconds=1))
    held.note(uuid4(), "buy", WHY, NOON)
    assert [(each.count, each.last_at.second) for each in held.take()] == [(2, 1), (1, 0)]
    assert held.take() == []


def test_a_flood_is_bounded_and_what_postgres_cannot_hold_is_left_out() -> None:
    held = Refusals()
    for number in range(refusals.MOST_HELD + 50):
        held.note(uuid4(), f"text {number}", WHY, NOON)
    held.note(uuid4(), "nul \x00", WHY, NOON)
    assert len(held.take()) == refusals.MOST_HELD
    held.note(uuid4(), "half \ud83d", WHY, NOON)
    assert held.take()[0].body == "half ?"


def test_a_masked_text_shows_no_number_address_or_path_and_has_an_end() -> None:
    assert mask("OTP 482913 to +254722000001") == "OTP ###### to +############"
    assert mask("see shop.example/t/abc?x=1 or mail jo@shop.example!") == "see shop.example/… or mail …@…"
    assert mask("رصيدك ٤٥٠٠") == "رصيدك ####"
    assert len(mask("a" * 1_530)) == 160
