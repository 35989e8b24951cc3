"""Every knob of content-worker."""

from pydantic import Field

from sema_common.platform.settings import RedisUrl, ServiceSettings


class Settings(ServiceSettings):
    redis_url: RedisUrl = Field(
        repr=False, description="Redis: verdicts of the last day; may be lost at any time."
    )
    prefetch: int = Field(
        default=4, ge=1, le=16, description="Campaigns judged at one time; each holds at most one connection."
    )
