"""Every knob of the room."""

from typing import Self

from pydantic import Field, field_validator, model_validator

from sema_common.platform.secrets import SecretBox
from sema_common.platform.settings import ServiceSettings


class Settings(ServiceSettings):
    """Read from the environment; see the descriptions."""

    secrets_keys: str = Field(
        repr=False,
        description="Fernet keys that open customers' signing secrets, newest first, comma separated; "
        "the same as main-api's.",
    )
    webhooks_allow_loopback: bool = Field(
        default=False,
        description="Let webhooks go to 127.0.0.1, [::1] and localhost by http on any port; "
        "production refuses it.",
    )
    retry_scale: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Shortens the retry schedule and the breaker's pauses, for the local stack: 0.01 makes "
        "24 hours a quarter of one.",
    )
    max_in_flight: int = Field(
        default=256,
        ge=2,
        le=4096,
        description="Requests open at once, all customers together; half of them at most to endpoints that "
        "are new, slow or failing.",
    )
    max_in_flight_per_target: int = Field(
        default=32,
        ge=1,
        le=256,
        description="Requests open at once to one endpoint in good health; at 25 ms each 32 make 1,280 a second.",
    )
    max_waiting: int = Field(
        default=4000,
        ge=1,
        description="Deliveries held in memory for their turn, a few KB each; beyond that they wait in Postgres.",
    )
    prefetch: int = Field(
        default=60,
        ge=1,
        le=1000,
        description="Unacknowledged AMQP messages of up to 100 facts; all of them may be in memory at once.",
    )
    batch_facts: int = Field(
        default=500, ge=100, le=5000, description="Facts fanned out in one transaction, at most."
    )
    batches: int = Field(
        default=2,
        ge=1,
        le=16,
        description="Such transactions at once; few, so that batches grow when the database is slow.",
    )
    database_pool_size: int = Field(default=6, ge=2, le=50, description="Connections to Postgres, at most.")

    @field_validator("secrets_keys")
    @classmethod
    def _keys_open(cls, value: str) -> str:
        SecretBox(value)
        return value

    @model_validator(mode="after")
    def _production_is_closed(self) -> Self:
        if self.environment == "production" and self.webhooks_allow_loopback:
            raise ValueError("WEBHOOKS_ALLOW_LOOPBACK is for a developer's machine: production refuses it")
        if self.environment == "production" and self.retry_scale != 1.0:
            raise ValueError("RETRY_SCALE is for a developer's machine: production keeps the 24 hours")
        return self
