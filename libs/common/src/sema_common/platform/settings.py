"""Settings: every knob of a room comes from the environment, is described, and is checked at the start.

Environment names are the field names in capitals, without a prefix. A room subclasses `ServiceSettings` (or
`RoomSettings`, if it has no database) in its own `settings.py`. No module reads `os.environ` itself.
"""

import sys
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

EX_CONFIG = 78
"""Exit status of a wrong configuration (sysexits.h), which a supervisor can tell from a crash."""


def _url(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        if value.partition("://")[0] not in schemes or not value.partition("://")[2]:
            raise ValueError(f"must be a URL that starts with {' or '.join(s + '://' for s in schemes)}")
        return value

    return AfterValidator(check)


PostgresUrl = Annotated[str, _url("postgresql", "postgres")]
AmqpUrl = Annotated[str, _url("amqp", "amqps")]
RedisUrl = Annotated[str, _url("redis", "rediss", "unix")]
HttpUrl = Annotated[str, _url("http", "https")]


class RoomSettings(BaseSettings):
    """What every room has."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    environment: Literal["production", "staging", "local", "test"] = Field(
        default="production", description="Where this runs; production refuses settings made for testing."
    )
    faults_dir: Path | None = Field(
        default=None,
        description="Directory in which a test arms fault points of this process; local and test only.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Log lines below this level are not written."
    )
    amqp_url: AmqpUrl = Field(description="RabbitMQ, e.g. amqp://user:secret@host:5672/vhost.")
    ops_host: str = Field(default="0.0.0.0", description="Address of /healthz, /readyz and /metrics.")  # noqa: S104
    ops_port: int = Field(default=9000, ge=0, le=65535, description="Port of /healthz, /readyz and /metrics.")
    drain_seconds: float = Field(
        default=25.0,
        gt=0,
        le=600,
        description="SIGTERM to exit, at most; the platform's grace must be longer.",
    )
    drain_notice_seconds: float = Field(
        default=0.0,
        ge=0,
        description="Part of the drain in which requests are still taken while the load balancer looks away.",
    )
    trace_sample_ratio: float = Field(
        default=0.05,
        ge=0,
        le=1,
        description="Share of traces that start here and are recorded; errors always are.",
    )
    otlp_endpoint: HttpUrl | None = Field(
        default=None, description="Base URL of an OTLP/HTTP collector; none: spans are not sent."
    )
    trace_file: str | None = Field(
        default=None, description="Append spans to this file as JSON lines, when there is no collector."
    )

    @model_validator(mode="after")
    def _faults_are_for_tests(self) -> Self:
        if self.faults_dir is not None and self.environment not in ("local", "test"):
            raise ValueError(f"FAULTS_DIR breaks things on purpose: {self.environment} refuses it")
        return self


NoReportHours = Annotated[
    float,
    Field(
        gt=0,
        le=240,
        description="A sent message without a report expires after so long, and a soft failure counts as certain; "
        "Celcom is asked until then. The same for sms-worker and dlr-processor.",
    ),
]
NO_REPORT_HOURS: Final = 72.0


class ServiceSettings(RoomSettings):
    """A room with a database."""

    database_url: PostgresUrl = Field(description="Postgres, logged in as this room's own role.")


S = TypeVar("S", bound=RoomSettings)


def load(cls: type[S]) -> S:
    """Read the settings, or exit with 78 after naming every wrong variable; values are never printed."""
    try:
        return cls()  # type: ignore[call-arg]  # the environment fills it
    except ValidationError as exc:
        print(f"{cls.__module__}: the configuration is wrong:", file=sys.stderr)
        for error in exc.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in error["loc"]).upper() or "(settings)"
            print(f"  {name}: {error['msg']}", file=sys.stderr)
        sys.exit(EX_CONFIG)
