"""What is served is what is documented."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx
import pytest

from sema_main_api import app
from sema_main_api.http import public
from sema_main_api.http.middleware import Edge
from sema_main_api.http.routing import Route

Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


async def test_every_route_that_is_served_is_documented_and_the_other_way_round(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OWASP API9:2023."""
    served: list[str] = []

    def edge(routes: list[Route], *more: Any) -> Edge:
        served.extend(route.name for route in routes)
        return Edge(routes, *more)

    monkeypatch.setattr(app, "Edge", edge)
    async with serve():
        declared = [operation.name for operation in (*public.OPERATIONS, *app.OPERATIONS)]
        assert sorted(served) == sorted(declared)
