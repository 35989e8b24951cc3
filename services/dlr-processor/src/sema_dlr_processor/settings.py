"""Every knob of dlr-processor."""

from pydantic import Field

from sema_common.platform.settings import NO_REPORT_HOURS, NoReportHours, RedisUrl, ServiceSettings


class Settings(ServiceSettings):
    """Read from the environment; the defaults are for production."""

    redis_url: RedisUrl = Field(
        repr=False,
        description="Redis: what networks report, for the choice of routes; may be lost at any time.",
    )
    batch_reports: int = Field(
        default=100, ge=1, le=1000, description="Reports written in one transaction, at most."
    )
    batch_seconds: float = Field(
        default=0.5, ge=0, le=5, description="How long a batch waits to fill, counted from its first report."
    )
    batches_in_flight: int = Field(
        default=4, ge=1, le=16, description="Transactions at a time; the pool has two connections more."
    )
    abandon_hours: int = Field(
        default=72,
        ge=1,
        le=240,
        description="An unmatched report is tried again for so long, then left to staff.",
    )
    no_report_hours: NoReportHours = NO_REPORT_HOURS
    reports_kept_days: int = Field(
        default=90,
        ge=30,
        le=3650,
        description="Stored reports are dropped, a month at a time, when the whole month is older than this.",
    )
