"""The door of the sandbox: the aggregators' own paths by plain ASGI, its operators' by Starlette."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from deploy.sandbox.celcom import DEFAULT_API_KEY, DEFAULT_PARTNER_ID, Celcom
from deploy.sandbox.control import Script, refused
from deploy.sandbox.hooks import Hooks
from deploy.sandbox.pusher import Pusher


class Sandbox:
    """An ASGI application; its lifespan (or `running()`, for tests) opens and closes what it needs."""

    def __init__(
        self,
        dlr_url: str | None = None,
        partner_id: str = DEFAULT_PARTNER_ID,
        api_key: str = DEFAULT_API_KEY,
    ) -> None:
        self._pusher = Pusher(dlr_url)
        celcom = Celcom(self._pusher, partner_id, api_key)
        self.simulated: Final = {celcom.name: celcom}
        self._paths: Final = celcom.paths
        self._operators: Final = Starlette(
            routes=[
                Route("/healthz", _health),
                *Hooks().routes,
                Route("/_control/{name}", self._show, methods=["GET"]),
                Route("/_control/{name}", self._change, methods=["PUT"]),
                Route("/_control/{name}/reset", self._reset, methods=["POST"]),
                Route("/_control/{name}/stats", self._stats, methods=["GET"]),
                Route("/_received/{name}", self._received, methods=["GET"]),
            ],
            lifespan=lambda _: self.running(),
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._paths.get(scope["path"]) if scope["type"] == "http" else None
        await (handler or self._operators)(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            for simulated in self.simulated.values():
                opened.callback(simulated.witness.close)
            await opened.enter_async_context(self._pusher)
            yield

    async def _show(self, request: Request) -> Response:
        simulated = self.simulated.get(request.path_params["name"])
        return JSONResponse(simulated.script.model_dump()) if simulated else _nobody()

    async def _change(self, request: Request) -> Response:
        simulated = self.simulated.get(request.path_params["name"])
        if simulated is None:
            return _nobody()
        try:
            simulated.script = simulated.script.changed(await request.json())
        except ValueError as error:
            return refused(error)
        return JSONResponse(simulated.script.model_dump())

    async def _reset(self, request: Request) -> Response:
        """The script as it was at the start. The witness keeps its book: others read on in it."""
        simulated = self.simulated.get(request.path_params["name"])
        if simulated is None:
            return _nobody()
        simulated.script = Script()
        return JSONResponse(simulated.script.model_dump())

    async def _stats(self, request: Request) -> Response:
        simulated = self.simulated.get(request.path_params["name"])
        return JSONResponse(simulated.stats()) if simulated else _nobody()

    async def _received(self, request: Request) -> Response:
        simulated = self.simulated.get(request.path_params["name"])
        return await simulated.witness.serve(request) if simulated else _nobody()


async def _health(_: Request) -> Response:
    return PlainTextResponse("ok")


def _nobody() -> Response:
    return JSONResponse({"title": "Nobody of that name is simulated here", "status": 404}, 404)
