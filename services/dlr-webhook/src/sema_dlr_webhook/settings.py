"""Every knob of dlr-webhook."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from sema_common.platform.settings import RoomSettings

# 22 characters of base64url hold the 128 bits below which a token could be searched for.
_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,31}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{22,128}")


def _tokens(value: Any) -> Any:
    """`celcom:tok1|tok2,africastalking:tok3`, or the same as JSON; errors never quote a token."""
    if isinstance(value, str):
        if value.lstrip().startswith("{"):
            try:
                value = json.loads(value)
            except ValueError:
                raise ValueError("neither JSON nor aggregator:token|token,…") from None
        else:
            pairs = (entry.strip().partition(":") for entry in value.split(",") if entry.strip())
            value = {name: tokens.split("|") for name, _, tokens in pairs}
    if not isinstance(value, Mapping) or not value:
        raise ValueError("names no aggregator")
    for name, tokens in value.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError("an aggregator's name is lower-case letters and digits")
        if not isinstance(tokens, list | tuple) or not tokens:
            raise ValueError(f"{name} has no token")
        if not all(isinstance(token, str) and _TOKEN.fullmatch(token) for token in tokens):
            raise ValueError(
                f"a token of {name} is not 22 to 128 letters, digits, - or _ (128 bits at least)"
            )
    return value


class Settings(RoomSettings):
    http_host: str = Field(default="0.0.0.0", description="Address of the public port.")  # noqa: S104
    http_port: int = Field(default=8080, ge=0, le=65535, description="Port that the aggregators call.")
    dlr_tokens: Annotated[Mapping[str, tuple[str, ...]], NoDecode, BeforeValidator(_tokens)] = Field(
        repr=False,
        description="Path tokens per aggregator, several while one is rotated: "
        "celcom:tok1|tok2,africastalking:tok3 (or JSON). A name that is not here is a 404.",
    )
    max_waiting: int = Field(
        default=2000, ge=1, description="Reports that wait for a publish; one more is answered 503."
    )
    max_held_bytes: int = Field(
        default=32 * 1024 * 1024,
        ge=1024 * 1024,
        description="Bytes of all reports in hand; beyond it 503 (2,000 bodies of 256 KiB were 512 MB).",
    )
    publishes_in_flight: int = Field(
        default=4, ge=1, le=32, description="AMQP messages that wait for their confirm at one time."
    )
