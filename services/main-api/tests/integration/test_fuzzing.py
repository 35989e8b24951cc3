"""OWASP API8:2023, ASVS 2.2.1, 16.5.1: whatever is sent, every answer is documented, fits its schema, is never a 5xx.

schemathesis makes the requests out of the OpenAPI document: valid ones, and ones that break its rules. The same ones
each time, unless SEED says otherwise; the long form asks ten times as many. What fails is printed as a curl command.
"""

import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import HypothesisException
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sema_common.platform.db import Database
from sema_main_api.accounts.opening import Opened
from sema_main_api.app import OPERATIONS, WEBHOOKS
from sema_main_api.http.openapi import document
from tests.kit.tenants import PLACES, Headers, Tenant, World, names_in

Open = Callable[..., Awaitable[Opened]]
StaffLogIn = Callable[..., Awaitable[Headers]]

CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(document(OPERATIONS, "0", WEBHOOKS))
NOT_HERE: Final = {"POST /v1/top-ups"}
"""Without M-Pesa's settings it is a documented 503, whatever is asked."""
MODES: Final = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
OF_STAFF: Final = "/v1/admin/"


def operations() -> Iterator[Any]:
    """Customers' routes first: what staff do may suspend the account that asks."""
    found: list[Any] = [result.ok() for result in SCHEMA.get_all_operations() if isinstance(result, Ok)]
    assert len(found) == sum(operation.listed for operation in OPERATIONS)
    yield from sorted(found, key=lambda op: (op.path.startswith(OF_STAFF), "/auth/" in op.path))


def cases(operation: Any, mode: GenerationMode, count: int, **fixed: Any) -> list[Case[Any]]:
    """Requests for one operation; fewer where its document has no such freedom."""
    found: list[Case[Any]] = []

    @seed(int(os.environ.get("SEED", "5")))
    @settings(
        max_examples=count, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck)
    )
    @given(operation.as_strategy(generation_mode=mode, **fixed))
    def collect(case: Case[Any]) -> None:
        found.append(case)

    try:
        collect()
    except HypothesisException:  # nothing can be wrong about an operation that takes nothing
        assert mode is GenerationMode.NEGATIVE
    return found


async def answers(client: httpx.AsyncClient, case: Case[Any], headers: Headers) -> list[str]:
    """What is wrong with the answer to this request."""
    made = case.as_transport_kwargs(headers=headers, base_url="http://api")
    request: Any = requests.Request(**made).prepare()
    response = await client.request(
        request.method, request.url, headers=dict(request.headers), content=request.body
    )
    try:
        case.validate_response(response, checks=CHECKS[1:] if case.operation.label in NOT_HERE else CHECKS)
    except FailureGroup as group:
        return [
            f"{case.operation.label}: {each.title}: {each.message}\n{case.as_curl_command()}\n{response.text[:300]}"
            for each in group.exceptions
        ]
    except Failure as each:
        return [f"{case.operation.label}: {each}"]
    return []


async def fuzz(client: httpx.AsyncClient, tenant: Tenant, admin: Headers, count: int) -> list[str]:
    wrong: list[str] = []
    for operation in operations():
        headers = admin if operation.path.startswith(OF_STAFF) else tenant.owner
        for mode in MODES:
            asked = cases(operation, mode, count)
            if any(place in operation.path for place in PLACES) and "/auth/" not in operation.path:
                ids = {parameter: tenant.things[thing] for parameter, thing in names_in(operation.path)}
                asked += cases(operation, mode, count, path_parameters=ids)
            for case in asked:
                wrong += await answers(client, case, headers)
    return wrong


@pytest.mark.timeout(300)
@pytest.mark.parametrize("count", [3, pytest.param(30, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
async def test_every_answer_is_documented_and_none_is_a_5xx(
    client: httpx.AsyncClient, open_: Open, owner: Database, staff: StaffLogIn, count: int
) -> None:
    world = World(client, open_, owner)
    wrong = await fuzz(
        client, await world.furnish(await world.tenant("fuzzed", type="agent")), await staff(), count
    )
    assert not wrong, "\n\n".join(dict.fromkeys(wrong))
