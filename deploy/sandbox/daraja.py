"""Daraja, simulated: OAuth, STK push and its query, pay-bill payments with their confirmation, the list.

The payer is simulated too: he looks at the prompt for `answer_ms` and does what the script, or his own magic
number, says. What the real one does not promise (a callback, its order, its being told once) is scripted.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import httpx
from pydantic_core import from_json, to_json
from starlette.types import Receive, Scope, Send

from deploy.sandbox import daraja_wire as wire
from deploy.sandbox.asgi import HTML, TEXT, answer, header, read_body, reset, until_gone
from deploy.sandbox.daraja_paybill import PayBill
from deploy.sandbox.daraja_script import DarajaScript
from deploy.sandbox.simulated import PAGE, App
from deploy.sandbox.witness import Witness

TOLD_SECONDS: Final = 10.0
"""How long a receiver of callbacks may take."""

Door = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class Daraja:
    """One business's account. `script` may be replaced at any moment; `witness` has every push it accepted."""

    name = "daraja"

    def __init__(self, account: wire.Account, callback_url: str | None = None) -> None:
        """`callback_url`: where pay-bill payments are told from the start, as if it had been registered."""
        self.script = DarajaScript()
        self.witness: Final = Witness()
        self.paybill: Final = PayBill(account, self, callback_url)
        self.paths: Mapping[str, App] = {
            "/oauth/v1/generate": self._token_door,
            "/mpesa/stkpush/v1/processrequest": self._door(self._push, "404.001.03", 404),
            "/mpesa/stkpushquery/v1/query": self._door(self._query, "404.001.03", 404),
            "/mpesa/c2b/v2/registerurl": self._door(self.paybill.register, "400.003.01", 400),
            "/pulltransactions/v1/register": self._door(self.paybill.register_list, "404.001.03", 404),
            "/pulltransactions/v1/query": self._door(self.paybill.show_list, "404.001.03", 404),
        }
        self._account: Final = account
        self._token, self._token_ends = "", 0.0
        self._tokens = 0
        self._pushes: dict[str, wire.Push] = {}
        self._told = 0
        self._errands: set[asyncio.Task[None]] = set()
        self._http: httpx.AsyncClient

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as opened:
            self._http = await opened.enter_async_context(
                httpx.AsyncClient(timeout=TOLD_SECONDS, trust_env=False)
            )
            opened.callback(self.witness.close)
            opened.callback(self.paybill.witness.close)
            yield
            await self.end_errands()

    async def end_errands(self) -> None:
        """Nobody is told anything any more of what has happened until now."""
        for errand in self._errands:
            errand.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)

    def calls_through(self, client: httpx.AsyncClient) -> None:
        """For a test whose receiver has no socket."""
        self._http = client

    def forget_token(self) -> None:
        """As if another process had fetched one: the token that was given last is good no more."""
        self._token = secrets.token_hex(14)

    def stats(self) -> dict[str, int]:
        return {
            "submitted": len(self.witness),
            "paid": len(self.paybill.witness),
            "undecided": sum(push.result is None for push in self._pushes.values()),
            "told": self._told,
            "tokens": self._tokens,
        }

    def later(self, errand: Coroutine[Any, Any, None]) -> None:
        """Something that happens besides."""
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def tell(self, url: str, body: Any, copies: float = 0.0) -> Any:
        """POST it, once and as often again; the last answer's JSON, None without one. Nobody is asked twice."""
        answered = None
        for _ in range(1 + int(copies) + (random.random() < copies % 1)):
            try:
                told = await self._http.post(url, json=body)
                answered = told.json() if told.status_code == 200 else None
                self._told += 1
            except (httpx.HTTPError, ValueError):
                answered = None
        return answered

    async def _token_door(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A new token ends the one before."""
        if self.script.oauth == "http_500":
            return await answer(send, PAGE, 500, HTML)
        if b"grant_type=client_credentials" not in scope["query_string"]:
            return await _refuse(send, 400, "400.008.02", "Invalid grant type passed")
        if header(scope, b"authorization") != self._account.basic:
            return await _refuse(send, 400, "400.008.01", "Invalid Authentication passed")
        self._token, self._tokens = secrets.token_hex(14), self._tokens + 1
        self._token_ends = time.monotonic() + self.script.token_seconds
        expires_in = str(int(self.script.token_seconds))
        return await answer(send, to_json({"access_token": self._token, "expires_in": expires_in}))

    def _door(self, handler: Door, code: str, status: int) -> App:
        """A door that wants a token and JSON; an old token is `code` with that status."""

        async def door(scope: Scope, receive: Receive, send: Send) -> None:
            raw = await read_body(receive)
            if scope["method"] != "POST":
                return await _refuse(send, 405, "405.001", "Method Not Allowed")
            authorization = header(scope, b"authorization")
            if authorization != f"Bearer {self._token}" or time.monotonic() >= self._token_ends:
                return await _refuse(send, status, code, "Invalid Access Token")
            try:
                body = from_json(raw or b"")
            except ValueError:
                body = None
            if not isinstance(body, dict):
                return await _refuse(send, 400, "400.002.05", "Invalid Request Payload")
            return await handler(body, receive, send)

        return door

    async def _push(self, body: dict[str, Any], receive: Receive, send: Send) -> None:
        script = self.script
        await asyncio.sleep(script.latency_ms / 1000)
        refused = wire.flaw(body, self._account) or self._refusal(body, script)
        if refused is not None:
            return await _refuse(send, *refused)
        push = self._accept(body, script)
        mode = script.mode if wire.magic(push.phone) is None else "ok"
        if push.oddity == "unanswered":
            mode = "timeout_after_accept"
        if script.callback.before_response or push.oddity == "early":
            await self._decide(push, script)
        else:
            self.later(self._decide(push, script))
        if mode in ("timeout_after_accept", "reset_after_accept"):
            if mode == "reset_after_accept":
                reset(send)
            return await until_gone(receive)
        if mode == "garbage":
            return await answer(send, b"OK", 200, TEXT)
        return await answer(send, to_json(wire.accepted(push)))

    def _refusal(self, body: dict[str, Any], script: DarajaScript) -> tuple[int, str, str] | None:
        """What comes of a push that is well-formed, before anybody's phone lights up."""
        phone = body["PhoneNumber"]
        busy = any(push.phone == phone and push.result is None for push in self._pushes.values())
        mode = script.mode if wire.magic(phone) is None else "ok"
        if busy or mode == "subscriber_locked":
            locked = (
                "Unable to lock subscriber, a transaction is already in process for the current subscriber"
            )
            return 500, "500.001.1001", locked
        if mode == "refuse":
            return 400, "400.002.02", "Bad Request - Invalid PhoneNumber"
        if mode == "http_500":
            return 500, "500.003.1001", "Internal Server Error"
        if mode == "spike_arrest":
            return 500, "500.003.02", "Spike Arrest Violation"
        if random.random() < script.error_rate:
            return 500, "500.003.02", "System is busy. Please try again in few minutes."
        return None

    def _accept(self, body: dict[str, Any], script: DarajaScript) -> wire.Push:
        phone = str(body["PhoneNumber"])
        digits = wire.magic(phone)
        oddity = wire.ODDITIES.get(digits or -1, "")
        code = 1 if script.mode == "low_credit" else script.result_code
        if digits is not None:
            code = 0 if oddity else digits
        stamp = time.strftime("%d%m%Y%H%M%S", time.gmtime())
        push = wire.Push(
            merchant_id=f"{secrets.token_hex(2)}-{secrets.randbelow(10**8)}-1",
            checkout_id=f"ws_CO_{stamp}{secrets.randbelow(10**10):010}",
            phone=phone,
            amount=int(body["Amount"]),
            reference=str(body["AccountReference"]),
            callback_url=str(body["CallBackURL"]),
            code=code,
            oddity=oddity,
        )
        self._pushes[push.checkout_id] = push
        self.witness.write(
            {
                "client_id": push.reference,
                "to": f"+{push.phone}",
                "text": str(body.get("TransactionDesc", "")),
                "amount": push.amount,
                "account_reference": push.reference,
                "checkout_request_id": push.checkout_id,
                "merchant_request_id": push.merchant_id,
                "callback_url": push.callback_url,
            },
            time.time(),
        )
        return push

    async def _decide(self, push: wire.Push, script: DarajaScript) -> None:
        """The payer answers the prompt, and the result goes to the CallBackURL."""
        await asyncio.sleep(script.answer_ms / 1000)
        if push.code == 4999:
            return
        push.decided = time.time()
        if push.code == 0:
            payment = self.paybill.take(str(push.amount), push.reference, push.phone, push.checkout_id)
            push.receipt = payment.receipt
            if script.c2b.of_pushes:
                self.later(self.paybill.confirm(payment))
        push.result = push.code
        lost = push.oddity == "lost" or random.random() < script.callback.drop_rate
        if not script.callback.enabled or lost:
            return
        amount = push.amount * 1000 if script.callback.wrong_amount else push.amount
        copies = 1.0 if push.oddity == "twice" else script.callback.duplicate
        await asyncio.sleep(script.callback.delay_ms / 1000)
        await self.tell(push.callback_url, wire.callback(push, amount), copies)

    async def _query(self, body: dict[str, Any], receive: Receive, send: Send) -> None:
        script = self.script
        refused = wire.proof(body, self._account)
        push = self._pushes.get(str(body.get("CheckoutRequestID")))
        if refused is None and script.query == "http_500":
            refused = 500, "500.003.1001", "Internal Server Error"
        if refused is None and push is None:
            refused = 400, "400.002.02", "Bad Request - Invalid CheckoutRequestID"
        if refused is not None or push is None:
            return await _refuse(send, *(refused or (500, "500.003.1001", "Internal Server Error")))
        if push.code == 4999:
            return await answer(send, to_json(wire.status(push, 4999)))
        if push.result is None or script.query == "processing":
            return await _refuse(send, 500, "500.001.1001", "The transaction is being processed")
        return await answer(send, to_json(wire.status(push, push.result)))


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    request_id = f"{secrets.token_hex(2)}-{secrets.randbelow(10**8)}-1"
    await answer(send, to_json(wire.refusal(code, message, request_id)), status)
