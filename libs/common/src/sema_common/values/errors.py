"""What can go wrong, as four kinds; a handler needs no other distinction.

    SemaError
    ├── Refused            the caller's fault: a stable code, never retried by us
    ├── RetryLater         a dependency or a limit in the way: the same call may succeed later
    │   ├── StoreUnavailable     Postgres away, restarting, read-only or too slow
    │   │   └── LockBusy         a row that we need is locked for longer than we may wait
    │   ├── OutcomeUnknown       the answer to COMMIT was lost: it may or may not have happened
    │   ├── BrokerUnavailable    RabbitMQ away, blocked, or it did not confirm in time
    │   ├── CacheUnavailable     Redis away or slow; callers go on without it
    │   └── Overloaded           one of our own bounded queues is full
    └── Park               needs a human: the message goes to its dead-letter queue with this reason

Everything else that is raised is a bug, and is treated as one (HTTP 500, redelivery up to the limit).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


class SemaError(Exception):
    """Root of the tree; never raised itself."""


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field of a body that is wrong: its path (`to`, `messages.3.to`), a stable code, a sentence."""

    field: str
    code: str
    detail: str


class Refused(SemaError):
    """The caller asked for something that we will not do.

    `code` is stable snake_case out of the HTTP contract, `status` the HTTP status that goes with it,
    `extra` holds further members of the problem document (RFC 9457), such as `reasons`.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        status: int = 422,
        errors: Sequence[FieldError] = (),
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.status = status
        self.errors = tuple(errors)
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})


class RetryLater(SemaError):
    """Nothing is wrong with the request; `after` is a hint in seconds, when one is known."""

    def __init__(self, detail: str, after: float | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.after = after


class StoreUnavailable(RetryLater):
    """Postgres could not be asked, or did not answer in time. Nothing was committed."""


class LockBusy(StoreUnavailable):
    """A row that the statement needs stayed locked for longer than the statement may wait."""


class OutcomeUnknown(RetryLater):
    """COMMIT was sent and its answer lost: whoever catches this must look before it tells anybody."""


class BrokerUnavailable(RetryLater):
    """RabbitMQ did not confirm. After a timeout the message may still have been taken."""


class CacheUnavailable(RetryLater):
    """Redis did not answer: the caller goes on without it."""


class Overloaded(RetryLater):
    """A bounded queue of ours is full: better a quick 503 than memory without bound."""


class Park(SemaError):
    """This message can never succeed as it is: set it aside with its reason, for a human to mend."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
