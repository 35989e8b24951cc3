"""The door of the sandbox: the aggregators' own paths by plain ASGI, its operators' by Starlette."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from deploy.sandbox.africastalking import AfricasTalking
from deploy.sandbox.celcom import Celcom
from deploy.sandbox.control import refused
from deploy.sandbox.daraja import Daraja
from deploy.sandbox.daraja_wire import Account
from deploy.sandbox.hooks import Hooks
from deploy.sandbox.mail import Mailbox
from deploy.sandbox.pusher import Pusher
from deploy.sandbox.simulated import App
from deploy.sandbox.witness import Witness
from sema_aggregators import Credentials

CELCOM: Final = Credentials("1000", "sandbox-api-key")
AFRICASTALKING: Final = Credentials("sandbox", "atsk_sandbox-api-key")
DARAJA: Final = Account("sandbox-key", "sandbox-secret", "600986", "sandbox-pass-key")


class Party(Protocol):
    """Somebody outside: his doors, his script, his book."""

    @property
    def name(self) -> str: ...
    @property
    def paths(self) -> Mapping[str, App]: ...
    @property
    def witness(self) -> Witness: ...

    script: Any

    def stats(self) -> dict[str, int]: ...
    def running(self) -> AbstractAsyncContextManager[None]: ...


class Sandbox:
    """An ASGI application; its lifespan (or `running()`, for tests) opens and closes what it needs.

    `dlr_url`: where reports are pushed, with `{aggregator}` in the place of its name; `payments_url`: where
    pay-bill payments are told, as if registered. None: nowhere.
    """

    def __init__(
        self,
        dlr_url: str | None = None,
        celcom: Credentials = CELCOM,
        africastalking: Credentials = AFRICASTALKING,
        smtp_port: int | None = None,
        daraja: Account = DARAJA,
        payments_url: str | None = None,
    ) -> None:
        self._mailbox = Mailbox(smtp_port)
        if dlr_url is not None and "{aggregator}" not in dlr_url:
            raise ValueError(
                "the URL for reports has no {aggregator}: one aggregator's would come in as another's"
            )

        def pusher(name: str, content_type: str) -> Pusher:
            return Pusher(dlr_url and dlr_url.replace("{aggregator}", name), content_type)

        payments = Daraja(daraja, payments_url)
        simulated: list[Party] = [
            payments,
            Celcom(pusher("celcom", "application/json"), celcom),
            AfricasTalking(pusher("africastalking", "application/x-www-form-urlencoded"), africastalking),
        ]
        self.simulated: Final = {one.name: one for one in simulated}
        self._witnesses: Final = {one.name: one.witness for one in simulated} | {
            "daraja-payments": payments.paybill.witness
        }
        self._paths: Final = {path: door for one in simulated for path, door in one.paths.items()}
        self._operators: Final = Starlette(
            routes=[
                Route("/healthz", _health),
                *Hooks().routes,
                *self._mailbox.routes,
                Route("/_control/daraja/pay", payments.paybill.pay, methods=["POST"]),
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
                await opened.enter_async_context(simulated.running())
            await opened.enter_async_context(self._mailbox.open())
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
        simulated.script = type(simulated.script)()
        return JSONResponse(simulated.script.model_dump())

    async def _stats(self, request: Request) -> Response:
        simulated = self.simulated.get(request.path_params["name"])
        return JSONResponse(simulated.stats()) if simulated else _nobody()

    async def _received(self, request: Request) -> Response:
        witness = self._witnesses.get(request.path_params["name"])
        return _nobody() if witness is None else await witness.serve(request)


async def _health(_: Request) -> Response:
    return PlainTextResponse("ok")


def _nobody() -> Response:
    return JSONResponse({"title": "Nobody of that name is simulated here", "status": 404}, 404)
