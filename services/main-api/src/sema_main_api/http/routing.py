"""One declaration per route: it feeds the router, the authorisation, the metrics and the OpenAPI document.

    OPERATIONS = (
        Operation("GET", "/v1/balance", balance, "What is left", tag="Money", scope="billing:read"),
    )

A module declares its operations as data; the composition root binds them to the module's dependencies. A handler
is `async def balance(deps, request, caller) -> Response`; a public one has no caller.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from pydantic import BaseModel
from starlette.responses import Response

from sema_common.values.errors import Refused
from sema_main_api import metrics
from sema_main_api.http.callers import Principal, Staff
from sema_main_api.http.problems import not_found

READERS: Final = frozenset({"owner", "admin", "developer", "viewer"})
WRITERS: Final = frozenset({"owner", "admin", "developer"})
MANAGERS: Final = frozenset({"owner", "admin"})
OWNERS: Final = frozenset({"owner"})
STAFF: Final = frozenset({"staff_admin", "staff_support"})
STAFF_ADMINS: Final = frozenset({"staff_admin"})

SCOPES: Final = (
    "messages:write", "messages:read", "campaigns:write", "campaigns:read", "contacts:write", "contacts:read",
    "billing:write", "billing:read", "webhooks:write", "webhooks:read", "sender_ids:write", "account:read",
)  # fmt: skip

MAX_BODY: Final = 1 << 20
"""1 MB, unless an operation says otherwise."""

TABLES: Final = ("text/csv", "multipart/form-data")
"""How a table is taken: as it is, or as the one part of a form."""

Handler = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Operation:
    """A route, who may call it, and what it takes and answers.

    `scope`: what an API key needs (None: no key may call this); `roles`: whose users may. `staff`: only these
    staff roles, and nobody of an account. `personal`: whoever has logged in, about himself; no key. `public`:
    anybody. `creates`: takes an Idempotency-Key. `csv`: content types in which a table is taken in place of the
    JSON body. `produces`: the content type of a 200 that is no JSON. `problems`: codes of its own beyond those
    that every operation has.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    scope: str | None = None
    roles: frozenset[str] = READERS
    staff: frozenset[str] = frozenset()
    public: bool = False
    personal: bool = False
    creates: bool = False
    body: type[BaseModel] | None = None
    csv: tuple[str, ...] = ()
    produces: str | None = None
    query: type[BaseModel] | None = None
    answers: Mapping[int, type[BaseModel] | None] = field(default_factory=lambda: {200: None})
    problems: Mapping[int, str] = field(default_factory=dict)
    description: str = ""
    max_body: int = MAX_BODY
    listed: bool = True

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    def admit(self, principal: Principal) -> Principal:
        """The principal, if it may call this; else Refused(403). What it may not see is decided by rows, as 404."""
        if self.personal and principal.user_id is not None:
            return principal
        if isinstance(principal, Staff):
            if principal.role not in self.staff:
                raise Refused("forbidden", "Your role does not allow this.", 403)
            return principal
        if self.staff:
            raise not_found()
        if principal.kind == "user":
            if principal.role not in self.roles:
                raise Refused("forbidden", "Your role does not allow this.", 403)
        elif self.scope is None:
            raise Refused("forbidden", "API keys cannot do this: log in as a user.", 403)
        elif self.scope not in principal.scopes:
            raise Refused("insufficient_scope", f"This API key lacks the scope {self.scope}.", 403)
        return principal


class Route:
    """An operation bound to its dependencies, with its metrics at hand."""

    __slots__ = ("_seconds", "admit", "handler", "max_body", "name", "operation", "public")

    def __init__(self, operation: Operation, deps: object) -> None:
        self.operation = operation
        self.name = operation.name
        self.public = operation.public
        self.max_body = operation.max_body
        self.admit = operation.admit
        self.handler: Callable[..., Awaitable[Response]] = partial(operation.handler, deps)
        self._seconds: dict[int, Any] = {}

    def observe(self, status: int, seconds: float) -> None:
        """Count one request."""
        bound = self._seconds.get(status)
        if bound is None:
            bound = self._seconds[status] = metrics.REQUESTS.labels(self.name, str(status))
        bound.observe(seconds)


def bind(operations: Iterable[Operation], deps: object) -> list[Route]:
    """A module's operations with its dependencies: their handlers get `deps` first."""
    return [Route(operation, deps) for operation in operations]


_PARAMETER: Final = re.compile(r"{(\w+)}")


class RouteTable:
    """Finds the route of a path: one dict look-up for a plain path, a few patterns for one with parameters."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._plain: dict[str, dict[str, Route]] = {}
        self._patterns: dict[int, list[tuple[re.Pattern[str], dict[str, Route]]]] = {}
        templates: dict[str, dict[str, Route]] = {}
        for route in routes:
            methods = templates.setdefault(route.operation.path, {})
            if route.operation.method in methods:
                raise ValueError(f"declared twice: {route.name}")
            methods[route.operation.method] = route
        for template, methods in templates.items():
            if "GET" in methods:
                methods.setdefault("HEAD", methods["GET"])
            if "{" not in template:
                self._plain[template] = methods
                continue
            pattern = re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", template.replace(".", r"\.")))
            self._patterns.setdefault(template.count("/"), []).append((pattern, methods))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route and its path parameters; Refused with 404 or 405 and what is allowed."""
        methods, params = self.methods(path)
        if methods is None or "\0" in path:  # no text in Postgres holds a NUL, so it names no row
            raise not_found()
        route = methods.get(method)
        if route is None:
            allow = ", ".join(sorted(methods))
            detail = f"This address takes {allow}."
            raise Refused("method_not_allowed", detail, 405, headers={"allow": allow})
        return route, params

    def methods(self, path: str) -> tuple[dict[str, Route] | None, dict[str, str]]:
        """All routes of a path by method, or None."""
        if (plain := self._plain.get(path)) is not None:
            return plain, {}
        for pattern, methods in self._patterns.get(path.count("/"), ()):
            if (match := pattern.fullmatch(path)) is not None:
                return methods, match.groupdict()
        return None, {}
