import pytest

from sema_common.platform.settings import EX_CONFIG, load
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
    settings = load(Settings)
    assert settings.dlr_tokens == EXPECTED
    assert A not in repr(settings)


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
def test_weak_or_malformed_tokens_stop_the_start_without_being_shown(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    environment.setenv("DLR_TOKENS", text)
    with pytest.raises(SystemExit) as stopped:
        load(Settings)
    assert stopped.value.code == EX_CONFIG
    shown = capsys.readouterr().err
    assert "DLR_TOKENS" in shown
    assert A not in shown
    assert "s" * 21 not in shown
