import json

import pytest

from sema_common.values.errors import (
    BrokerUnavailable,
    FieldError,
    OutcomeUnknown,
    Overloaded,
    Refused,
    RetryLater,
    StoreUnavailable,
)
from sema_main_api.http.problems import of_error, problem_response


@pytest.mark.parametrize(
    ("error", "status", "code", "headers"),
    [
        (Refused("insufficient_credit", "d", 402), 402, "insufficient_credit", {}),
        (Refused("unauthenticated", "d", 401), 401, "unauthenticated", {"www-authenticate": "Bearer"}),
        (
            Refused("rate_limited", "d", 429, headers={"retry-after": "7"}),
            429,
            "rate_limited",
            {"retry-after": "7"},
        ),
        (Overloaded("full", after=2.2), 503, "overloaded", {"retry-after": "3"}),
        (StoreUnavailable("away"), 503, "unavailable", {"retry-after": "1"}),
        (BrokerUnavailable("away"), 503, "unavailable", {"retry-after": "1"}),
        (RetryLater("later", after=0.0), 503, "unavailable", {"retry-after": "1"}),
        (OutcomeUnknown("?"), 503, "outcome_unknown", {"retry-after": "1"}),
        (KeyError("a secret of ours"), 500, "internal_error", {}),
    ],
)
def test_every_kind_of_error_has_one_problem(
    error: Exception, status: int, code: str, headers: dict[str, str]
) -> None:
    document, found = of_error(error, "req-1")
    assert (document["status"], document["code"], found) == (status, code, headers)
    assert document["request_id"] == "req-1"
    assert document["instance"] == "urn:request:req-1"
    assert set(document) >= {"type", "title", "detail"}


def test_an_error_that_is_not_ours_tells_nothing() -> None:
    response = problem_response(RuntimeError("password=hunter2"), "r")
    assert b"hunter2" not in bytes(response.body)
    assert response.media_type == "application/problem+json"


def test_errors_and_further_members_are_in_the_document() -> None:
    error = Refused(
        "content_rejected",
        "d",
        errors=[FieldError("to", "required", "x")],
        extra={"reasons": [{"check": "url"}]},
    )
    document = json.loads(bytes(problem_response(error, "r").body))
    assert document["errors"] == [{"field": "to", "code": "required", "detail": "x"}]
    assert document["reasons"] == [{"check": "url"}]


def test_an_item_of_a_batch_has_a_problem_without_a_request_id() -> None:
    document, _ = of_error(Refused("insufficient_credit", "d", 402))
    assert "request_id" not in document
