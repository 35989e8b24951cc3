"""A receiver of customer webhooks: keeps exactly what came, so that a reader can verify the signatures."""

import asyncio
import base64
import time
from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deploy.sandbox.clock import wire_time
from deploy.sandbox.control import refused

MAX_BODY: Final = 1 << 20
MAX_KEPT: Final = 10_000
"""Requests kept per hook: the oldest go first, `seq` tells."""
MAX_HOOKS: Final = 1_000


class HookScript(BaseModel):
    """How a hook answers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    status: Annotated[int, Field(ge=200, le=599)] = 200
    latency_ms: Annotated[float, Field(ge=0, le=3_600_000)] = 0


@dataclass(slots=True)
class _Hook:
    script: HookScript = field(default_factory=HookScript)
    received: int = 0
    kept: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MAX_KEPT))


class Hooks:
    """Every hook there is; the first call to a name makes it."""

    def __init__(self) -> None:
        self._hooks: dict[str, _Hook] = {}
        self.routes: Final = [
            Route("/_hooks/{name}", self._take, methods=["POST"]),
            Route("/_hooks/{name}", self._show, methods=["GET"]),
            Route("/_control/hooks/{name}", self._script, methods=["PUT"]),
            Route("/_control/hooks/{name}", self._show_script, methods=["GET"]),
        ]

    def _hook(self, request: Request) -> _Hook | None:
        name = request.path_params["name"]
        if name not in self._hooks and len(self._hooks) < MAX_HOOKS:
            self._hooks[name] = _Hook()
        return self._hooks.get(name)

    async def _take(self, request: Request) -> Response:
        hook = self._hook(request)
        body = await request.body()
        if hook is None or len(body) > MAX_BODY:
            return Response(status_code=413)
        script = hook.script
        hook.received += 1
        hook.kept.append(
            {
                "seq": hook.received,
                "at": wire_time(time.time()),
                "answered": script.status,
                "headers": dict(request.headers),
                "body": body.decode("utf-8", "replace"),
                "body_base64": base64.b64encode(body).decode(),
            }
        )
        if script.latency_ms:
            await asyncio.sleep(script.latency_ms / 1000)
        return Response(status_code=script.status)

    async def _show(self, request: Request) -> Response:
        """`?since=` (default 0): `{"data": [{seq, at, answered, headers, body, body_base64}]}`."""
        hook = self._hooks.get(request.path_params["name"], _Hook())
        try:
            since = int(request.query_params.get("since") or 0)
        except ValueError:
            return JSONResponse({"title": "since is a whole number", "status": 422}, 422)
        known = max(0, since - (hook.received - len(hook.kept)))
        return JSONResponse({"data": list(islice(hook.kept, known, None))})

    async def _script(self, request: Request) -> Response:
        hook = self._hook(request)
        if hook is None:
            return Response(status_code=413)
        try:
            hook.script = HookScript.model_validate(await request.json())
        except ValueError as error:
            return refused(error)
        return JSONResponse(hook.script.model_dump())

    async def _show_script(self, request: Request) -> Response:
        return JSONResponse(self._hooks.get(request.path_params["name"], _Hook()).script.model_dump())
