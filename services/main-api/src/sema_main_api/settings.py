"""Every knob of main-api."""

from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from sema_common.platform.mail import Smtp
from sema_common.platform.secrets import SecretBox, signing_keys
from sema_common.platform.settings import PostgresUrl, RedisUrl, ServiceSettings


def _codes(text: str) -> frozenset[str]:
    return frozenset(code.strip().upper() for code in text.split(",") if code.strip())


class Settings(ServiceSettings):
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
        return self
