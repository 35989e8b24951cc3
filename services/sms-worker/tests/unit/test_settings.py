import pytest
from pydantic import ValidationError

from sema_common.platform.db import COMMAND_SECONDS
from sema_sms_worker.settings import CLAIM_LOOK_SECONDS, Settings

REQUIRED = {
    "AMQP_URL": "amqp://localhost/",
    "DATABASE_URL": "postgresql://localhost/sema",
    "REDIS_URL": "redis://localhost/0",
    "CELCOM_API_KEY": "not-to-be-shown",
    "CELCOM_PARTNER_ID": "36",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_the_defaults_hold_together() -> None:
    settings = Settings.model_validate({})
    assert settings.celcom_countries == {"KE", "UG", "TZ", "RW"}
    assert "not-to-be-shown" not in repr(settings)


def test_timeouts_nest() -> None:
    settings = Settings.model_validate({})
    a_submit = 2 * COMMAND_SECONDS + CLAIM_LOOK_SECONDS + settings.submit_total_seconds
    assert a_submit < settings.claim_lease_seconds
    assert settings.submit_total_seconds + COMMAND_SECONDS < settings.drain_seconds
    assert settings.database_pool_size >= 4


def test_a_lease_shorter_than_a_submit_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CLAIM_LEASE_SECONDS", "40")
    with pytest.raises(ValidationError, match="CLAIM_LEASE_SECONDS"):
        Settings.model_validate({})


def test_a_drain_shorter_than_a_submit_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DRAIN_SECONDS", "20")
    with pytest.raises(ValidationError, match="DRAIN_SECONDS"):
        Settings.model_validate({})


def test_countries_are_a_list(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CELCOM_COUNTRIES", "ke, ug")
    assert Settings.model_validate({}).celcom_countries == {"KE", "UG"}
    environment.setenv("CELCOM_COUNTRIES", "Kenya")
    with pytest.raises(ValidationError):
        Settings.model_validate({})
