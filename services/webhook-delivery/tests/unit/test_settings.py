"""Production refuses what was made for a developer's machine."""

import pytest
from pydantic import ValidationError

from sema_common.platform.secrets import SecretBox
from sema_webhook_delivery.settings import Settings

REQUIRED = {
    "amqp_url": "amqp://u:p@h/",
    "database_url": "postgresql://u:p@h/d",
    "secrets_keys": SecretBox.new_key(),
}


@pytest.mark.parametrize("changed", [{"webhooks_allow_loopback": True}, {"retry_scale": 0.5}])
def test_a_setting_for_the_local_stack_ends_a_production_start(changed: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="production"):
        Settings.model_validate({**REQUIRED, "environment": "production", **changed})
    Settings.model_validate({**REQUIRED, "environment": "local", **changed})


def test_a_malformed_key_is_named_and_not_shown() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({**REQUIRED, "secrets_keys": "very-secret"})
    assert "secrets_keys" in str(caught.value)
    assert "very-secret" not in str(caught.value)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())
