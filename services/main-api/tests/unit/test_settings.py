import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from sema_common.platform.secrets import SecretBox
from sema_main_api.settings import Settings

PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
GOOD: dict[str, Any] = {
    "database_url": "postgresql://main_api@db/sema",
    "pipeline_database_url": "postgresql://main_api_pipeline:hunter2@db/sema",
    "amqp_url": "amqp://mq/",
    "redis_url": "redis://cache/0",
    "secrets_keys": SecretBox.new_key(),
    "jwt_private_key": base64.b64encode(PEM).decode(),
}


def test_production_is_what_is_assumed() -> None:
    settings = Settings(**GOOD)
    assert settings.environment == "production"
    assert settings.webhooks_allow_loopback is False
    assert settings.access_token_seconds == 900


def test_production_refuses_webhooks_to_its_own_machine() -> None:
    """OWASP API8:2023."""
    with pytest.raises(ValidationError, match="WEBHOOKS_ALLOW_LOOPBACK must be off in production"):
        Settings(**GOOD, webhooks_allow_loopback=True)
    assert Settings(**GOOD, environment="local", webhooks_allow_loopback=True).webhooks_allow_loopback


@pytest.mark.parametrize(
    "change",
    [
        {"secrets_keys": "short"},
        {"jwt_private_key": "nonsense"},
        {"access_token_seconds": 901},
        {"pipeline_database_url": "mysql://db/sema"},
        {"http_port": 70000},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_wrong_value_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Settings(**(GOOD | change))


def test_origins_are_a_list() -> None:
    assert Settings(**GOOD, cors_origins="https://a.example, https://b.example,").origins == [
        "https://a.example",
        "https://b.example",
    ]


def test_secrets_do_not_show() -> None:
    shown = repr(Settings(**GOOD))
    assert "hunter2" not in shown
    assert GOOD["secrets_keys"] not in shown
    assert GOOD["jwt_private_key"] not in shown
