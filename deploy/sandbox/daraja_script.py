"""The script of the simulated Daraja: what its doors answer, what the payer does, what is told and listed."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from deploy.sandbox.control import Copies, Milliseconds, Share

PushMode = Literal[
    "ok",
    "refuse",
    "http_500",
    "timeout_after_accept",
    "reset_after_accept",
    "low_credit",
    "garbage",
    "subscriber_locked",
    "spike_arrest",
]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Callback(_Strict):
    """How the result of a push travels to its CallBackURL. Nothing is ever sent again, as with the real one."""

    enabled: bool = True
    delay_ms: Milliseconds = Field(default=0.0, description="from the payer's decision until it leaves")
    duplicate: Copies = Field(default=0.0, description="further copies of each")
    drop_rate: Share = 0.0
    before_response: bool = Field(default=False, description="decided and told before the push is answered")
    wrong_amount: bool = Field(default=False, description="tells of another amount than was paid")


class Confirmation(_Strict):
    """How payments are told to the registered C2B addresses."""

    enabled: bool = True
    of_pushes: bool = Field(default=True, description="payments by STK push are told here too")
    validation: bool = Field(
        default=True, description="the validation address is asked before a payment by hand"
    )
    delay_ms: Milliseconds = 0.0
    duplicate: Copies = 0.0
    wrong_amount: bool = False


class Listing(_Strict):
    """The list of transactions (Pull Transactions)."""

    mode: Literal["ok", "http_500"] = "ok"
    delay_ms: Milliseconds = Field(default=0.0, description="from a payment until the list has it")
    page: Annotated[int, Field(ge=1, le=1000)] = 100


class DarajaScript(_Strict):
    """What happens to an STK push, and to those who ask about it."""

    latency_ms: Milliseconds = 0.0
    error_rate: Share = Field(
        default=0.0, description='share of pushes answered "system is busy", not accepted'
    )
    mode: PushMode = Field(
        default="ok",
        description="of pushes: refuse: a field is invalid · http_500: an internal error, nothing accepted · "
        "timeout_after_accept: never answers · reset_after_accept: cuts the connection · garbage: accepted, "
        "answered with nonsense · low_credit: the payer lacks the money · subscriber_locked · spike_arrest",
    )
    result_code: Annotated[int, Field(ge=0, le=99999)] = Field(
        default=0,
        description="what becomes of a push: 0 paid, 1 too little money, 1032 cancelled, 1037 no answer, "
        "2001 wrong PIN, 4999 never decided",
    )
    answer_ms: Milliseconds = Field(default=200.0, description="how long the payer looks at the prompt")
    query: Literal["ok", "processing", "http_500"] = Field(
        default="ok", description="the status query: the truth, `still processing`, or an error"
    )
    oauth: Literal["ok", "http_500"] = "ok"
    token_seconds: Annotated[float, Field(ge=0, le=3600)] = 3599.0
    callback: Callback = Callback()
    c2b: Confirmation = Confirmation()
    list: Listing = Listing()

    def changed(self, changes: Any) -> "DarajaScript":
        """With these members in place of the current ones; `dlr` is understood as `callback`."""
        merged: Any = changes
        if isinstance(changes, dict):
            changes = {"callback" if name == "dlr" else name: value for name, value in changes.items()}
            merged = self.model_dump() | changes
            for name in ("callback", "c2b", "list"):
                if isinstance(changes.get(name), dict):
                    merged[name] = getattr(self, name).model_dump() | changes[name]
        return DarajaScript.model_validate(merged)
