"""Every knob of phone-validator."""

from pydantic import Field

from sema_common.platform.settings import ServiceSettings


class Settings(ServiceSettings):
    prefetch: int = Field(
        default=2,
        ge=1,
        le=8,
        description="Jobs that take their turns at one time; each holds one connection.",
    )
