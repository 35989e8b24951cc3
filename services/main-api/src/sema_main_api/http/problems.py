"""How a failure reads: RFC 9457 problem documents, one function for every kind of error.

What must never be in one: a stack trace, a secret, the text of an exception that is not ours.
"""

import math
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from pydantic_core import to_json
from starlette.responses import Response

from sema_common.values.errors import FieldError, OutcomeUnknown, Overloaded, Refused, RetryLater

CONTENT_TYPE: Final = "application/problem+json"
TYPE_BASE: Final = "/docs#problem-"
"""`type` is a reference to the section of our own page that explains the code."""

# For a caller that is told to come back and for whom nobody knows when.
RETRY_SECONDS: Final = 1.0


def problem(
    status: int,
    code: str,
    detail: str,
    request_id: str = "",
    errors: Iterable[FieldError] = (),
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A problem document; items of a batch carry one too, then without a request id."""
    document: dict[str, Any] = {
        "type": TYPE_BASE + code,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
    }
    if request_id:
        document["instance"] = f"urn:request:{request_id}"
        document["request_id"] = request_id
    if listed := [{"field": e.field, "code": e.code, "detail": e.detail} for e in errors]:
        document["errors"] = listed
    return document | dict(extra or {})


def of_error(exc: Exception, request_id: str = "") -> tuple[dict[str, Any], dict[str, str]]:
    """The document of an error and the headers that go with it; whatever is not ours is a bug and says nothing."""
    match exc:
        case Refused():
            headers = dict(exc.headers)
            if exc.status == 401:
                headers.setdefault("www-authenticate", "Bearer")
            return problem(exc.status, exc.code, exc.detail, request_id, exc.errors, exc.extra), headers
        case OutcomeUnknown():
            detail = "It is unknown whether this was done: the same call with its Idempotency-Key will tell."
            return problem(503, "outcome_unknown", detail, request_id), retry_after(exc.after)
        case Overloaded():
            detail = "Too much is waiting already. Nothing was done; try again."
            return problem(503, "overloaded", detail, request_id), retry_after(exc.after)
        case RetryLater():
            detail = "Something that this call needs is away. Nothing was done; try again."
            return problem(503, "unavailable", detail, request_id), retry_after(exc.after)
        case _:
            detail = "This is our mistake, and it has been recorded under this request id."
            return problem(500, "internal_error", detail, request_id), {}


def retry_after(seconds: float | None) -> dict[str, str]:
    """The header, in whole seconds and never 0."""
    return {"retry-after": str(max(1, math.ceil(seconds or RETRY_SECONDS)))}


def problem_response(exc: Exception, request_id: str) -> Response:
    """The whole answer to a request that failed."""
    document, headers = of_error(exc, request_id)
    return Response(to_json(document), document["status"], headers, CONTENT_TYPE)


def not_found() -> Refused:
    """For what is not there, and for what the caller may not see: nobody can tell the two apart."""
    return Refused("not_found", "There is nothing here by that name.", 404)
