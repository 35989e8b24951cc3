"""The one way in: every request passes through here once, and leaves one log line and one measurement behind.

Request id, trace, size limits, who is calling and may they, the handler, errors as problems, headers that every
answer bears. Pure ASGI in one function, because 3,000 requests a second pay for every layer.
"""

import time
from collections.abc import Iterable
from os import urandom
from typing import Any, Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sema_common.platform.logs import get_logger
from sema_common.platform.telemetry import span
from sema_common.values.errors import Refused, RetryLater
from sema_main_api import metrics
from sema_main_api.http.auth import Authenticator, unauthenticated
from sema_main_api.http.callers import Caller
from sema_main_api.http.lingering import send_and_linger
from sema_main_api.http.problems import problem_response
from sema_main_api.http.requests import Request, too_large
from sema_main_api.http.routing import Route, RouteTable
from sema_main_api.http.rules import credential_in, is_from, is_sane_request_id

CLIENT_CLOSED_REQUEST: Final = 499
"""nginx's word for a client that left before its answer; it is logged and never sent."""

UNREAD_BODY_KEPT: Final = 64 * 1024
"""A refused request whose unread body is longer (or of unknown length) costs it the connection."""

_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),
)
_NO_CONTENT_AT_ALL: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_PREFLIGHT: Final = {
    "access-control-allow-methods": "GET, POST, PATCH, DELETE",
    "access-control-allow-headers": "authorization, content-type, idempotency-key, traceparent, x-request-id",
    "access-control-max-age": "600",
}
_EXPOSED: Final = b"idempotent-replayed, ratelimit, ratelimit-policy, retry-after, x-request-id"

_NO_ROUTE: Final = "unknown"

log = get_logger()


class Edge:
    """The ASGI application: a table of routes behind authentication, limits and measurement."""

    def __init__(
        self,
        routes: Iterable[Route],
        authenticator: Authenticator,
        cors_origins: Iterable[str] = (),
        trusted_proxies: int = 0,
    ) -> None:
        self._routes = RouteTable(routes)
        self._authenticator = authenticator
        self._trusted_proxies = trusted_proxies
        self._origins = {origin.encode("ascii") for origin in cors_origins}
        self._in_flight = 0
        metrics.IN_FLIGHT.set_function(lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        given = headers.get(b"x-request-id")
        request_id = given.decode() if given is not None and is_sane_request_id(given) else urandom(16).hex()
        parent = headers.get(b"traceparent")
        request = Request(scope, receive, send, headers, request_id, 0)
        self._in_flight += 1
        route: Route | None = None
        status = 500
        trace_id = ""
        try:
            try:
                route, scope["path_params"] = self._find(scope)
                with span(route.name, "server", parent.decode("latin-1") if parent else None) as current:
                    trace_id = current.trace_id
                    response = await self._answer(route, request, headers)
                    current.set("http.response.status_code", response.status_code)
            except ClientDisconnect:
                status = CLIENT_CLOSED_REQUEST
                return
            except Exception as exc:
                response = self._failure(exc, scope, request, trace_id)
            status = response.status_code
            self._finish(response, request, headers)
            if status >= 400 and _still_sending(request, headers):
                response.raw_headers.append((b"connection", b"close"))
                await send_and_linger(response, scope, receive, send)
            else:
                await response(scope, receive, send)
        finally:
            self._in_flight -= 1
            self._tell(scope, route, request, status, time.perf_counter() - started, trace_id)

    def _find(self, scope: Scope) -> tuple[Route, dict[str, str]]:
        path: str = scope["path"]
        if (b"sema_" in scope["query_string"] or "sema_" in path) and (
            prefix := credential_in(path + "?" + scope["query_string"].decode("latin-1"))
        ):
            metrics.KEYS_IN_URLS.inc()
            log.warning("api_key_in_url", key_prefix=prefix)
            detail = "An API key belongs in the Authorization header, never in a URL. Revoke this one: URLs are logged."
            raise Refused("credentials_in_url", detail, 400)
        return self._routes.find(scope["method"], path)

    async def _answer(self, route: Route, request: Request, headers: dict[bytes, bytes]) -> Response:
        request.cap = route.max_body
        length = headers.get(b"content-length")
        if length is not None and int(length) > route.max_body:
            raise too_large(route.max_body)
        if route.public:
            return await route.handler(request)
        authorization = headers.get(b"authorization")
        if authorization is None:
            raise unauthenticated()
        principal = self._authenticator.known(authorization) or await self._authenticator.find(authorization)
        if isinstance(principal, Caller):
            request.noted["account_id"] = principal.account_id
            request.noted["caller_id"] = principal.id
            if principal.networks:
                self._check_place(principal, request)
        else:
            request.noted["caller_id"] = principal.user_id
        return await route.handler(request, route.admit(principal))

    def _check_place(self, caller: Caller, request: Request) -> None:
        """Refused(403) where a key is used from outside the networks that its owner bound it to."""
        address = request.address(self._trusted_proxies)
        if not is_from(address, caller.networks):
            detail = f"This API key does not work from {address or 'an unknown address'}."
            raise Refused("address_not_allowed", detail, 403)

    def _failure(self, exc: Exception, scope: Scope, request: Request, trace_id: str) -> Response:
        if isinstance(exc, Refused):
            if exc.status == 405 and scope["method"] == "OPTIONS":
                return Response(status_code=204, headers={"allow": exc.headers["allow"]})
            metrics.REFUSALS.labels(exc.code).inc()
            request.noted["code"] = exc.code
        elif isinstance(exc, RetryLater):
            request.noted["reason"] = exc.detail
        else:
            log.error("request_failed", exc_info=exc, request_id=request.request_id, trace_id=trace_id)
        return problem_response(exc, request.request_id)

    def _finish(self, response: Response, request: Request, headers: dict[bytes, bytes]) -> None:
        """Add the headers that every answer bears."""
        raw = response.raw_headers
        raw.append((b"x-request-id", request.request_id.encode()))
        raw.extend(_SECURITY)
        if response.media_type != "text/html":
            raw.append(_NO_CONTENT_AT_ALL)
        origin = headers.get(b"origin")
        if origin is None:
            return
        raw.append((b"vary", b"origin"))
        if origin in self._origins:
            raw.append((b"access-control-allow-origin", origin))
            raw.append((b"access-control-expose-headers", _EXPOSED))
            if request.method == "OPTIONS":
                raw.extend((name.encode(), value.encode()) for name, value in _PREFLIGHT.items())

    def _tell(
        self, scope: Scope, route: Route | None, request: Request, status: int, seconds: float, trace_id: str
    ) -> None:
        """One measurement and one line. The path is the route's template: a real one may hold a token."""
        name = _NO_ROUTE if route is None else route.name
        if route is not None:
            route.observe(status, seconds)
        else:
            metrics.REQUESTS.labels(name, str(status)).observe(seconds)
        line: dict[str, Any] = {
            "operation": name,
            "status": status,
            "duration_ms": round(seconds * 1000, 2),
            "request_id": request.request_id,
            **request.noted,
        }
        if trace_id:
            line["trace_id"] = trace_id
        (log.warning if status >= 500 else log.info)("request", **line)


def _still_sending(request: Request, headers: dict[bytes, bytes]) -> bool:
    """Whether there is a body that nobody read, and too much of it, or nobody knows how much, to read it now."""
    if request.body_was_read:
        return False
    length = headers.get(b"content-length")
    return b"transfer-encoding" in headers or (length is not None and int(length) > UNREAD_BODY_KEPT)
