"""Settings: every wrong variable is named at once, and no value is ever printed."""

import pytest
from pydantic import Field

from sema_common.platform.settings import EX_CONFIG, RoomSettings, ServiceSettings, load

GOOD = {"DATABASE_URL": "postgresql://u:hush@h/d", "AMQP_URL": "amqp://u:hush@h/"}


class Settings(ServiceSettings):
    batch_size: int = Field(default=10, gt=0, description="Rows written together.")


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*GOOD, "BATCH_SIZE", "ENVIRONMENT", "LOG_LEVEL", "OTLP_ENDPOINT", "TRACE_FILE"):
        monkeypatch.delenv(name, raising=False)


def _set(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(name, value)


def test_names_are_the_fields_in_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, **GOOD, BATCH_SIZE="25", ENVIRONMENT="staging")
    settings = load(Settings)
    assert (settings.batch_size, settings.environment, settings.log_level) == (25, "staging", "info")


def test_production_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, **GOOD)
    assert load(Settings).environment == "production"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, **GOOD, OTLP_ENDPOINT="")
    assert load(Settings).otlp_endpoint is None


def test_every_wrong_variable_is_named_and_no_value_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _set(monkeypatch, DATABASE_URL="mysql://u:hush@h/d", BATCH_SIZE="-1", LOG_LEVEL="loud")
    with pytest.raises(SystemExit) as stop:
        load(Settings)
    assert stop.value.code == EX_CONFIG
    told = capsys.readouterr().err
    for name in ("DATABASE_URL", "AMQP_URL", "BATCH_SIZE", "LOG_LEVEL"):
        assert name in told
    assert "hush" not in told
    assert "loud" not in told


def test_a_room_without_a_database_needs_no_url_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    _set(monkeypatch, AMQP_URL=GOOD["AMQP_URL"])
    assert load(RoomSettings).amqp_url == GOOD["AMQP_URL"]


@pytest.mark.parametrize("cls", [RoomSettings, ServiceSettings])
def test_every_knob_is_described(cls: type[RoomSettings]) -> None:
    assert [name for name, field in cls.model_fields.items() if not field.description] == []
