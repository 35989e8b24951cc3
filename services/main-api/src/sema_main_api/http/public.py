"""What anybody may ask of the public port: is it alive, can it work, and what does it offer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import HTMLResponse, PlainTextResponse, Response

from sema_main_api.http import docs, openapi
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import Operation


@dataclass(slots=True)
class Deps:
    """`report`: the runtime's readiness. The document is made at the first call and kept."""

    report: Callable[[], tuple[str, dict[str, str]]]
    operations: Sequence[Operation]
    version: str
    webhooks: openapi.Webhooks
    _document: dict[str, Any] = field(default_factory=dict)
    _page: str = ""

    @property
    def document(self) -> dict[str, Any]:
        self._document = self._document or openapi.document(self.operations, self.version, self.webhooks)
        return self._document

    @property
    def page(self) -> str:
        self._page = self._page or docs.render(self.document)
        return self._page


async def healthz(_: Deps, __: Request) -> Response:
    """The event loop turns; nothing is asked of anybody."""
    return PlainTextResponse("ok")


async def readyz(deps: Deps, _: Request) -> Response:
    """200 while requests can be taken. The details stay on the ops port: they name our dependencies."""
    status, _checks = deps.report()
    return json_response({"status": status}, 503 if status == "unready" else 200)


async def openapi_json(deps: Deps, _: Request) -> Response:
    """The OpenAPI document."""
    return json_response(deps.document)


async def docs_page(deps: Deps, _: Request) -> Response:
    """The same for people."""
    return HTMLResponse(deps.page, headers={"content-security-policy": docs.CSP})


OPERATIONS = (
    Operation("GET", "/healthz", healthz, "Alive", "Health", public=True, listed=False),
    Operation("GET", "/readyz", readyz, "Ready", "Health", public=True, listed=False),
    Operation("GET", "/openapi.json", openapi_json, "This document", "Docs", public=True, listed=False),
    Operation("GET", "/docs", docs_page, "The readable page", "Docs", public=True, listed=False),
)
