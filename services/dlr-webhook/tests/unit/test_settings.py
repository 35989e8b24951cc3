import pytest
from pydantic import ValidationError

from sema_dlr_webhook.settings import Settings

A, B, C = "a" * 24, "b" * 24, "c" * 24
EXPECTED = {"celcom": (A, B), "africastalking": (C,)}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("AMQP_URL", "amqp://guest:guest@localhost/")
    return monkeypatch


@pytest.mark.parametrize(
    "text",
    [
        f"celcom:{A}|{B},africastalking:{C}",
        f" celcom:{A}|{B} , africastalking:{C} ,",
        f'{{"celcom": ["{A}", "{B}"], "africastalking": ["{C}"]}}',
    ],
)
def test_tokens_are_read_in_both_notations(environment: pytest.MonkeyPatch, text: str) -> None:
    environment.setenv("DLR_TOKENS", text)
    assert Settings().dlr_tokens == EXPECTED
    assert A not in repr(Settings())


@pytest.mark.parametrize(
    "text",
    [
        "celcom",
        "celcom:",
        f"celcom:{A}|",
        "celcom:" + "s" * 21,
        f"Celcom:{A}",
        f"celcom:{A}/x",
        f'{{"celcom": "{A}"}}',
        f'{{"celcom": ["{A}"',
        ",",
    ],
)
def test_weak_or_malformed_tokens_are_refused_without_being_shown(
    environment: pytest.MonkeyPatch, text: str
) -> None:
    environment.setenv("DLR_TOKENS", text)
    with pytest.raises(ValidationError) as caught:
        Settings()
    shown = "; ".join(error["msg"] for error in caught.value.errors())
    assert "DLR_TOKENS".lower() in {str(error["loc"][0]) for error in caught.value.errors()}
    assert A not in shown
    assert "s" * 21 not in shown
