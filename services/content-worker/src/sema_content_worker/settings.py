"""Every knob of content-worker."""

from pydantic import Field

from sema_common.platform.settings import ServiceSettings


class Settings(ServiceSettings):
    prefetch: int = Field(
        default=4, ge=1, le=16, description="Campaigns judged at one time; each holds at most one connection."
    )
