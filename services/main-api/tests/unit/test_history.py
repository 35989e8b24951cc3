"""What customers read of the way that their message took."""

import pytest

from sema_main_api.messaging.rules.history import shown


def told(reason: str, *over: tuple[str, str]) -> dict[str, object]:
    return {"reason": reason, "passed_over": [{"aggregator": a, "reason": why} for a, why in over]}


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ({"reason": "primary"}, "the usual route"),
        (told("fallback", ("celcom", "failing")), "another route, because Celcom is not available"),
        (
            told("fallback", ("celcom", "cannot_carry")),
            "another route, because Celcom does not carry this kind of message",
        ),
        (
            told("none", ("africastalking", "switched_off")),
            "no route yet, because Africa's Talking is not in use",
        ),
    ],
)
def test_a_choice_is_a_sentence(choice: dict[str, object], sentence: str) -> None:
    assert shown({"aggregator": "celcom", "route": choice}) == {"aggregator": "celcom", "route": sentence}


@pytest.mark.parametrize("why", ["account", "asked_to_wait", "failing", "not_connected", "a later reason"])
def test_what_is_between_us_and_an_aggregator_stays_there(why: str) -> None:
    assert shown({"route": told("fallback", ("celcom", why))})["route"] == (
        "another route, because Celcom is not available"
    )


@pytest.mark.parametrize("detail", [None, {}, {"route": None}])
def test_an_event_without_a_choice_has_no_route(detail: dict[str, object] | None) -> None:
    assert shown(detail) == {}
