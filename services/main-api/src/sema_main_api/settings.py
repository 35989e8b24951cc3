"""Every knob of main-api."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from sema_common.platform.mail import Smtp
from sema_common.platform.secrets import SecretBox, signing_keys
from sema_common.platform.settings import HttpUrl, PostgresUrl, RedisUrl
from sema_main_api.invoice_settings import InvoiceSettings


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _codes(text: str) -> frozenset[str]:
    return frozenset(code.strip().upper() for code in text.split(",") if code.strip())


Network = ipaddress.IPv4Network | ipaddress.IPv6Network

REFUSED_IN_URLS: Final = re.compile("m-?pesa|safaricom|exec?|cmd|sql|query", re.IGNORECASE)
"""Daraja takes no callback URL with one of these words in it."""


@dataclass(frozen=True, slots=True)
class DarajaSettings:
    """Our business at Safaricom. `tokens`: of the pay-bill addresses, newest first. Waits are in seconds."""

    base_url: str
    consumer_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    short_code: str
    pass_key: str = field(repr=False)
    public_url: str
    tokens: Sequence[str] = field(repr=False)
    networks: Sequence[Network]
    query_seconds: float
    list_seconds: float


class Settings(InvoiceSettings):
    database_url: PostgresUrl = Field(
        repr=False, description="Postgres as main_api: a tenant's own reads, behind row-level security."
    )
    pipeline_database_url: PostgresUrl = Field(
        repr=False,
        description="Postgres as main_api_pipeline: accepting, relaying and everything that writes.",
    )
    redis_url: RedisUrl = Field(
        repr=False, description="Redis: rate limits, attempts to log in, sessions; may be lost at any time."
    )
    http_host: str = Field(default="0.0.0.0", description="Address of the public API.")  # noqa: S104
    http_port: int = Field(default=8080, ge=0, le=65535, description="Port of the public API.")
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        le=5,
        description="Reverse proxies in front that append to X-Forwarded-For; 0 ignores the header.",
    )
    cors_origins: str = Field(
        default="", description="Origins, comma separated, whose pages may call the API from a browser."
    )
    secrets_keys: str = Field(
        repr=False,
        description="Fernet keys for customers' secrets at rest, comma separated, the newest first.",
    )
    jwt_private_key: str = Field(
        repr=False,
        description="Ed25519 keys for access tokens, each a PKCS #8 PEM in base64, comma separated, newest first.",
    )
    jwt_issuer: str = Field(default="sema-link", description="`iss` of access tokens.")
    jwt_audience: str = Field(default="sema-api", description="`aud` of access tokens.")
    access_token_seconds: int = Field(default=900, ge=30, le=900, description="Life of an access token.")
    web_app_url: str = Field(
        default="https://app.semalink.africa",
        description="Where the links in mails lead: the customers' web app.",
    )
    smtp_host: str = Field(default="localhost", description="The mail server that takes our mail.")
    smtp_port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection is secured; none is refused in production."
    )
    smtp_username: str | None = Field(default=None, description="Who we are to the mail server.")
    smtp_password: SecretStr | None = Field(default=None, description="And its password for us.")
    mail_from: str = Field(
        default="Sema Link <no-reply@semalink.africa>", description="The sender of our mails."
    )
    webhooks_allow_loopback: bool = Field(
        default=False, description="Let webhooks go to this machine: for development, refused in production."
    )
    celcom_countries: str = Field(
        default="KE,UG,TZ,RW",
        description="ISO codes, comma separated, that our account at Celcom reaches; others are refused at the door.",
    )
    celcom_ucs2: bool = Field(
        default=False,
        description="Whether UCS-2 texts are proven on our account at Celcom; without, they are refused at the door.",
    )
    africastalking_countries: str = Field(
        default="",
        description="ISO codes, comma separated, that our account at Africa's Talking reaches; empty without one.",
    )
    upload_spool_bytes: int = Field(
        default=2 << 30,
        ge=1 << 20,
        description="Bytes in TMPDIR for uploads that are being read, all together; beyond, an upload is a 503.",
    )
    daraja_base_url: HttpUrl = Field(
        default="https://api.safaricom.co.ke", description="Daraja (M-Pesa); its sandbox has another."
    )
    daraja_consumer_key: SecretStr | None = Field(
        default=None,
        description="Our app at Daraja. Without it, its secret, the short code, the pass key, PAYMENTS_PUBLIC_URL and "
        "PAYMENTS_CALLBACK_TOKENS there are no top-ups: 503.",
    )
    daraja_consumer_secret: SecretStr | None = Field(default=None, description="Its secret.")
    daraja_short_code: str | None = Field(
        default=None, pattern=r"^\d{5,7}$", description="The pay-bill number that customers pay to."
    )
    daraja_pass_key: SecretStr | None = Field(
        default=None, description="The pass key of the pay-bill number."
    )
    payments_public_url: HttpUrl | None = Field(
        default=None,
        description="Where Daraja reaches this API: https in production, without words that it refuses.",
    )
    payments_callback_tokens: SecretStr | None = Field(
        default=None,
        description="Tokens in the addresses registered for pay-bill payments, each 32 or more of 0-9 and a-f, comma "
        "separated, the newest first; all of them are taken.",
    )
    payments_callback_networks: str = Field(
        default="",
        description="Networks (CIDR), comma separated, that Daraja calls from; others get 404. Empty: anywhere.",
    )
    payments_query_seconds: float = Field(
        default=60.0,
        gt=0,
        le=600,
        description="The unit of waits for a push's result: asked after 1, 2, 5, 15 and then every 60 of it.",
    )
    payments_list_seconds: float = Field(
        default=60.0, gt=0, le=3600, description="How often Daraja's list of transactions is read."
    )
    tenant_pool_size: int = Field(default=8, ge=1, le=100, description="Connections for tenants' reads.")
    pipeline_pool_size: int = Field(
        default=12,
        ge=4,
        le=100,
        description="Connections for writes: group commit, relay, sweeps, and everything else that writes.",
    )

    @property
    def smtp(self) -> Smtp:
        password = self.smtp_password.get_secret_value() if self.smtp_password else None
        return Smtp(
            self.smtp_host, self.smtp_port, self.mail_from, self.smtp_tls, self.smtp_username, password
        )

    @property
    def origins(self) -> list[str]:
        return [origin.strip() for origin in self.cors_origins.split(",") if origin.strip()]

    @property
    def live_countries(self) -> frozenset[str]:
        return _codes(self.celcom_countries)

    @property
    def second_countries(self) -> frozenset[str]:
        return _codes(self.africastalking_countries)

    @property
    def daraja(self) -> DarajaSettings | None:
        """None: M-Pesa is not set up."""
        key, secret, pass_key = self.daraja_consumer_key, self.daraja_consumer_secret, self.daraja_pass_key
        tokens = self.payments_callback_tokens
        if not (
            key and secret and pass_key and self.daraja_short_code and self.payments_public_url and tokens
        ):
            return None
        return DarajaSettings(
            self.daraja_base_url,
            key.get_secret_value(),
            secret.get_secret_value(),
            self.daraja_short_code,
            pass_key.get_secret_value(),
            self.payments_public_url.rstrip("/"),
            _listed(tokens.get_secret_value()),
            [ipaddress.ip_network(network) for network in _listed(self.payments_callback_networks)],
            self.payments_query_seconds,
            self.payments_list_seconds,
        )

    @field_validator("payments_callback_tokens")
    @classmethod
    def _is_secret(cls, value: SecretStr | None) -> SecretStr | None:
        tokens = _listed(value.get_secret_value()) if value else ["0" * 32]
        if not tokens or not all(re.fullmatch("[0-9a-f]{32,128}", token) for token in tokens):
            raise ValueError("each token must be 32 to 128 of 0-9 and a-f")
        return value

    @field_validator("payments_callback_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for network in _listed(value):
            ipaddress.ip_network(network)
        return value

    @field_validator("secrets_keys")
    @classmethod
    def _opens(cls, value: str) -> str:
        SecretBox(value)
        return value

    @field_validator("jwt_private_key")
    @classmethod
    def _signs(cls, value: str) -> str:
        signing_keys(value)
        return value

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.environment == "production" and self.webhooks_allow_loopback:
            raise ValueError("WEBHOOKS_ALLOW_LOOPBACK must be off in production")
        if self.environment == "production" and self.smtp_tls == "none":
            raise ValueError("SMTP_TLS must be starttls or tls in production")
        self._check_payments()
        return self

    def _check_payments(self) -> None:
        needed = {
            "DARAJA_CONSUMER_KEY": self.daraja_consumer_key,
            "DARAJA_CONSUMER_SECRET": self.daraja_consumer_secret,
            "DARAJA_SHORT_CODE": self.daraja_short_code,
            "DARAJA_PASS_KEY": self.daraja_pass_key,
            "PAYMENTS_PUBLIC_URL": self.payments_public_url,
            "PAYMENTS_CALLBACK_TOKENS": self.payments_callback_tokens,
        }
        missing = [name for name, value in needed.items() if value is None]
        if missing and len(missing) < len(needed):
            raise ValueError(f"M-Pesa is set up in part: {', '.join(missing)} missing")
        url = self.payments_public_url or ""
        if REFUSED_IN_URLS.search(url):
            raise ValueError("PAYMENTS_PUBLIC_URL has a word that Daraja refuses in callback URLs")
        if self.environment == "production" and url and not url.startswith("https://"):
            raise ValueError("PAYMENTS_PUBLIC_URL must be https in production")
