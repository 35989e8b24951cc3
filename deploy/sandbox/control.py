"""The script of a simulated aggregator: what to do to those who call. Set over HTTP, in force at once."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse

Mode = Literal[
    "ok", "refuse", "http_500", "timeout_after_accept", "reset_after_accept", "low_credit", "garbage"
]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[float, Field(ge=0, le=3_600_000)]
Copies = Annotated[
    float,
    Field(ge=0, le=100),
    BeforeValidator(lambda given: float(given) if given is True or given is False else given),
]


class Dlr(_Strict):
    """How delivery reports travel."""

    enabled: bool = Field(default=True, description="False: none is pushed; Celcom's `getdlr` still answers")
    delay_ms: Milliseconds = Field(
        default=0.0, description="from the answer to the submit until the report leaves"
    )
    duplicate: Copies = Field(
        default=0.0,
        description="further copies of each report; a fraction is the chance of one more; true is 1",
    )
    shuffle: bool = Field(
        default=False,
        description="an intermediate report besides the final one, and all of a call in random order",
    )
    drop_rate: Share = Field(default=0.0, description="share of reports that are lost")
    before_response: bool = Field(
        default=False, description="pushed and answered before the submit is answered"
    )


class Script(_Strict):
    """What happens to a submit."""

    latency_ms: Milliseconds = Field(default=0.0, description="between taking a submit and answering it")
    error_rate: Share = Field(default=0.0, description='share of messages answered "try again", not accepted')
    timeout_rate: Share = Field(
        default=0.0, description="share of calls that are accepted and never answered"
    )
    mode: Mode = Field(
        default="ok",
        description="refuse: every number is wrong · low_credit · http_500: nothing accepted · "
        "timeout_after_accept: never answers · reset_after_accept: cuts the connection · "
        "garbage: accepted, answered with six kinds of nonsense in turn",
    )
    dlr: Dlr = Dlr()

    def changed(self, changes: Any) -> "Script":
        """With these members in place of the current ones. Raises ValidationError naming the wrong ones."""
        merged: Any = changes
        if isinstance(changes, dict):
            merged = self.model_dump() | changes
            if isinstance(changes.get("dlr"), dict):
                merged["dlr"] = self.dlr.model_dump() | changes["dlr"]
        return Script.model_validate(merged)


def refused(error: ValueError) -> JSONResponse:
    """422, naming each wrong value."""
    if isinstance(error, ValidationError):
        errors = [
            {"field": ".".join(str(part) for part in found["loc"]), "detail": found["msg"]}
            for found in error.errors()
        ]
    else:
        errors = [{"field": "", "detail": "the body is not JSON"}]
    return JSONResponse({"title": "Not a valid script", "status": 422, "errors": errors}, 422)
