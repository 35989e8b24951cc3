"""Every knob of sms-worker."""

from typing import Annotated, Final, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from sema_common.platform.db import COMMAND_SECONDS
from sema_common.platform.settings import NO_REPORT_HOURS, HttpUrl, NoReportHours, RedisUrl, ServiceSettings

CLAIM_LOOK_SECONDS: Final = 15.0
"""How long a claim whose COMMIT went unanswered is looked for; after that it is left to the sweep."""


def _countries(value: object) -> object:
    return (
        [word.strip().upper() for word in value.split(",") if word.strip()]
        if isinstance(value, str)
        else value
    )


Countries = Annotated[
    frozenset[Annotated[str, Field(pattern="^[A-Z]{2}$")]], NoDecode, BeforeValidator(_countries)
]


class Settings(ServiceSettings):
    celcom_base_url: HttpUrl = Field(
        default="https://isms.celcomafrica.com",
        description="Celcom's address; sub-domains differ per account.",
    )
    celcom_api_key: SecretStr = Field(description="Our key at Celcom.")
    celcom_partner_id: str = Field(min_length=1, description="Our partner id at Celcom.")
    celcom_countries: Countries = Field(
        default=frozenset({"KE", "UG", "TZ", "RW"}),
        description="ISO codes of the countries that Celcom has opened for this account, comma-separated.",
    )
    celcom_ucs2: bool = Field(
        default=False, description="Whether this account has been shown to carry texts beyond GSM-7."
    )
    submit_connect_seconds: float = Field(
        default=3.0, gt=0, description="DNS, TCP and TLS to any aggregator, at most."
    )
    submit_total_seconds: float = Field(
        default=15.0,
        gt=0,
        description="A whole submit to any aggregator, at most; after that its messages are in doubt.",
    )

    africastalking_base_url: HttpUrl = Field(
        default="https://api.africastalking.com", description="Africa's Talking, the route after Celcom."
    )
    africastalking_username: str = Field(default="", description="Our user name at Africa's Talking.")
    africastalking_api_key: SecretStr = Field(
        default=SecretStr(""), description="Our key there; without it there is no second route."
    )
    africastalking_countries: Countries = Field(
        default=frozenset({"KE", "UG", "TZ", "RW", "NG", "MW"}),
        description="ISO codes of the countries where Africa's Talking has approved our sender names, comma-separated.",
    )
    africastalking_bulk: bool = Field(
        default=False, description="Whether one call there may carry a text to several recipients."
    )
    africastalking_connections: int = Field(
        default=64, ge=1, le=512, description="Calls of the normal lane in flight there, one message each."
    )

    priority_senders: int = Field(
        default=16, ge=1, le=256, description="Submits in flight on the priority lane, one message each."
    )
    normal_senders: int = Field(
        default=16,
        ge=1,
        le=256,
        description="Bulks in flight on the normal lane, 20 messages each: a crash leaves at most that many in doubt.",
    )
    normal_prefetch: int = Field(
        default=64,
        ge=20,
        le=5000,
        description="Unacknowledged AMQP messages on the normal lane, of up to 20 jobs each: four for every sender. "
        "More cost memory (136 more: 16 MB) and gain nothing.",
    )
    normal_linger_ms: float = Field(
        default=5.0, ge=0, le=1000, description="How long an unfilled bulk waits for company."
    )

    max_retries: int = Field(
        default=3, ge=0, le=10, description="Retries of what the aggregator did not take."
    )
    retry_first_seconds: float = Field(
        default=5.0, gt=0, description="Wait before the first retry; each further one is twice as long."
    )
    in_doubt_hold_seconds: float = Field(
        default=300.0, gt=0, description="How long a message in doubt is held before it fails with a refund."
    )
    claim_lease_seconds: float = Field(
        default=60.0, gt=0, description="After this long a claim without an outcome is in doubt."
    )
    sweep_seconds: float = Field(default=1.0, gt=0, description="Period of the search for what is due.")

    redis_url: RedisUrl = Field(
        repr=False, description="Redis: how the aggregators do and their pace; may be lost at any time."
    )
    route_error_share: float = Field(
        default=0.2, gt=0, le=1, description="Failed share of a minute's calls that shuts an aggregator …"
    )
    route_error_calls: int = Field(default=50, ge=1, description="… of at least so many calls.")
    route_error_row: int = Field(
        default=10,
        ge=2,
        description="Failed calls in a row, of all workers, that shut it at once; and what may be lost on it.",
    )
    route_stalled_seconds: float = Field(
        default=3.0, gt=0, description="From here on an unanswered call counts against its aggregator."
    )
    route_reports: int = Field(
        default=50, ge=1, description="Final reports of a network within a minute that say something."
    )
    route_delivered_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="With no more of them delivered, another aggregator is preferred.",
    )
    route_slow_seconds: float = Field(
        default=300.0,
        gt=0,
        description="So long from sent to delivered on average, and another is preferred.",
    )
    route_rest_first_seconds: float = Field(
        default=1.0, gt=0, description="First rest of a failing aggregator; doubled each time."
    )
    route_rest_longest_seconds: float = Field(
        default=30.0, gt=0, le=45, description="Longest rest: it is back within a minute of its health."
    )
    route_trials: int = Field(
        default=3,
        ge=1,
        le=20,
        description="Single messages in a row that must go well before it is open again.",
    )
    route_exchange_seconds: float = Field(
        default=0.25, gt=0, le=2, description="How often workers tell each other how the aggregators do."
    )
    pause_first_seconds: float = Field(
        default=5.0, gt=0, description="First pause after low credit or bad credentials; doubled each time."
    )
    pause_longest_seconds: float = Field(
        default=60.0, gt=0, description="Longest pause between probes of an account that is at fault."
    )

    poll_first_seconds: float = Field(
        default=600.0,
        gt=300,
        description="After so long a message without a report is asked about, then at three times the age, and so on.",
    )
    poll_per_second: float = Field(
        default=10.0,
        ge=1,
        le=1000,
        description="Questions about reports, at most; one worker asks at a time.",
    )
    no_report_hours: NoReportHours = NO_REPORT_HOURS
    attempts_kept_days: int = Field(
        default=30, ge=14, le=3650, description="Attempts of ended messages are deleted after this."
    )

    database_pool_size: int = Field(default=8, ge=4, le=64, description="Postgres connections, at most.")

    @model_validator(mode="after")
    def _budgets(self) -> Self:
        # From the claim to the end of the call: the claim's own transaction, the search for it after a lost
        # answer, the call. Nobody may take a claim for abandoned while its owner may still be submitting.
        busy = 2 * COMMAND_SECONDS + CLAIM_LOOK_SECONDS + self.submit_total_seconds
        if busy >= self.claim_lease_seconds:
            raise ValueError(
                f"CLAIM_LEASE_SECONDS must be more than {busy:g}, the longest way through a submit"
            )
        if self.africastalking_api_key.get_secret_value() and not self.africastalking_username:
            raise ValueError("AFRICASTALKING_API_KEY needs AFRICASTALKING_USERNAME")
        if self.submit_total_seconds + COMMAND_SECONDS >= self.drain_seconds:
            raise ValueError(
                "DRAIN_SECONDS must be more than SUBMIT_TOTAL_SECONDS and 5 s to record the outcome"
            )
        if 2 * self.poll_first_seconds >= self.no_report_hours * 3600:
            raise ValueError("POLL_FIRST_SECONDS must be less than half of NO_REPORT_HOURS")
        return self
