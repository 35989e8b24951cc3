"""What holds for every operation that this service declares."""

import json

import pytest
from openapi_spec_validator import validate

from sema_main_api.app import OPERATIONS
from sema_main_api.http import docs
from sema_main_api.http.openapi import document
from sema_main_api.http.routing import SCOPES, Operation, RouteTable, bind

NAMES = [operation.name for operation in OPERATIONS]


def test_the_document_is_valid_openapi() -> None:
    found = document(OPERATIONS, "0.0.0")
    validate(found)
    assert json.loads(json.dumps(found)) == found
    assert {name for path in found["paths"].values() for name in path} <= {
        "get",
        "post",
        "patch",
        "delete",
        "put",
    }


def test_the_document_says_where_a_table_is_taken_too() -> None:
    found = document(OPERATIONS, "0.0.0")
    taken = {
        name: list(found["paths"][name]["post"]["requestBody"]["content"])
        for name in ("/v1/contact-lists/{id}/contacts", "/v1/suppressions", "/v1/contact-lists")
    }
    assert taken == {
        "/v1/contact-lists/{id}/contacts": ["application/json", "text/csv", "multipart/form-data"],
        "/v1/suppressions": ["application/json", "text/csv"],
        "/v1/contact-lists": ["application/json"],
    }
    assert "or as multipart/form-data" in docs.render(found)


def test_the_readable_page_names_every_operation() -> None:
    page = docs.render(document(OPERATIONS, "0.0.0"))
    listed = [operation.name for operation in OPERATIONS if operation.listed]
    assert [name for name in listed if f"<code>{name}</code>" not in page] == []


def test_every_operation_is_found_by_the_router() -> None:
    table = RouteTable(bind(OPERATIONS, None))
    for operation in OPERATIONS:
        route, _ = table.find(operation.method, operation.path.replace("{id}", "0198c0de"))
        assert route.operation is operation


@pytest.mark.parametrize("operation", OPERATIONS, ids=NAMES)
def test_an_operation_says_who_may_call_it(operation: Operation) -> None:
    assert operation.path.startswith("/v1/")
    assert operation.scope is None or operation.scope in SCOPES
    if operation.public or operation.staff:
        assert operation.scope is None
    if operation.method != "GET" and operation.scope is not None and not operation.path.endswith("/estimate"):
        assert operation.scope.endswith(":write"), "what changes something needs a scope to write"
    if operation.personal:
        assert operation.scope is None
        assert not operation.staff
    elif operation.method != "GET" and not operation.public and not operation.staff:
        assert "viewer" not in operation.roles or operation.path.endswith("/estimate"), (
            "a viewer changes nothing"
        )
