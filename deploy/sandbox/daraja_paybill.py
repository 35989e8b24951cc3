"""The pay-bill side of the simulated Daraja: money that has moved, who is told of it, and the list of it."""

import asyncio
import secrets
import time
from collections.abc import Coroutine
from typing import Any, Final, Protocol

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Send

from deploy.sandbox import daraja_wire as wire
from deploy.sandbox.asgi import answer
from deploy.sandbox.control import refused
from deploy.sandbox.daraja_script import DarajaScript
from deploy.sandbox.witness import Witness

LISTED_SECONDS: Final = 48 * 3600
"""How far back the list goes."""

_LETTERS: Final = "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789"


class Teller(Protocol):
    """Who can be told something: the rest of Daraja."""

    @property
    def script(self) -> DarajaScript: ...
    async def tell(self, url: str, body: Any, copies: float = 0.0) -> Any: ...
    def later(self, errand: Coroutine[Any, Any, None]) -> None: ...


class ByHand(BaseModel):
    """A payer at the pay-bill menu of his phone."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    account: str = Field(max_length=20, description="what he types as account number")
    amount: str = Field(pattern=r"^\d{1,6}(\.\d\d)?$")
    phone: str = Field(default="254712345678", pattern=r"^\+?254[17]\d{8}$")


class PayBill:
    """Payments, whoever began them. `witness` has every one, in order."""

    def __init__(self, account: wire.Account, teller: Teller, callback_url: str | None) -> None:
        self.witness: Final = Witness()
        self._account: Final = account
        self._teller: Final = teller
        self._payments: list[wire.Payment] = []
        self._confirmation = callback_url
        self._validation = None if callback_url is None else f"{callback_url}/validation"

    def take(self, amount: str, reference: str, phone: str, checkout_id: str | None = None) -> wire.Payment:
        """The money has moved."""
        at = time.time()
        receipt = "T" + "".join(secrets.choice(_LETTERS) for _ in range(9))
        listed = at + self._teller.script.list.delay_ms / 1000
        payment = wire.Payment(receipt, at, amount, reference, phone, listed)
        self._payments.append(payment)
        told = {"receipt": receipt, "amount": amount, "account_reference": reference, "to": f"+{phone}"}
        self.witness.write(told | {"checkout_request_id": checkout_id}, at)
        return payment

    async def confirm(self, payment: wire.Payment) -> None:
        """Tell the registered address, if there is one."""
        script = self._teller.script.c2b
        if self._confirmation is None or not script.enabled:
            return
        amount = str(float(payment.amount) * 1000) if script.wrong_amount else None
        await asyncio.sleep(script.delay_ms / 1000)
        body = wire.confirmation(payment, self._account.short_code, amount)
        await self._teller.tell(self._confirmation, body, script.duplicate)

    async def pay(self, request: Request) -> Response:
        """A payment by hand: validated where that is asked for, taken, confirmed."""
        try:
            wanted = ByHand.model_validate(await request.json())
        except ValueError as error:
            return refused(error)
        script = self._teller.script.c2b
        phone = wanted.phone.removeprefix("+")
        if script.validation and self._validation is not None:
            asked = wire.Payment("", time.time(), wanted.amount, wanted.account, phone, 0.0)
            said = await self._teller.tell(
                self._validation, wire.confirmation(asked, self._account.short_code)
            )
            if isinstance(said, dict) and str(said.get("ResultCode")) != "0":
                return JSONResponse({"accepted": False, "result_code": said.get("ResultCode")})
        payment = self.take(wanted.amount, wanted.account, phone)
        self._teller.later(self.confirm(payment))
        return JSONResponse({"accepted": True, "receipt": payment.receipt})

    async def register(self, body: dict[str, Any], _: Receive, send: Send) -> None:
        urls = body.get("ConfirmationURL"), body.get("ValidationURL")
        if body.get("ShortCode") != self._account.short_code or not all(urls):
            return await _refuse(send, 400, "400.003.02", "Bad Request - Invalid ShortCode")
        if body.get("ResponseType") not in ("Completed", "Cancelled"):
            return await _refuse(send, 400, "400.003.02", "Bad Request - Invalid ResponseType")
        if self._confirmation is not None:
            return await _refuse(send, 500, "500.003.1001", "Urls are already registered")
        self._confirmation, self._validation = str(urls[0]), str(urls[1])
        told = {"OriginatorCoversationID": secrets.token_hex(8), "ResponseCode": "0"}
        return await answer(send, to_json(told | {"ResponseDescription": "success"}))

    async def register_list(self, body: dict[str, Any], _: Receive, send: Send) -> None:
        told = {"ResponseRefID": secrets.token_hex(8), "ShortCode": self._account.short_code}
        if body.get("RequestType") != "Pull" or not body.get("NominatedNumber"):
            return await _refuse(send, 400, "400.002.02", "Bad Request - Invalid RequestType")
        done = {"ResponseStatus": "1000", "ResponseDescription": "ShortCode already registered"}
        return await answer(send, to_json(told | done))

    async def show_list(self, body: dict[str, Any], _: Receive, send: Send) -> None:
        """Rows of a span of time, oldest first, from an offset counted in rows."""
        script = self._teller.script.list
        if script.mode == "http_500":
            return await _refuse(send, 500, "500.003.1001", "Internal Server Error")
        since, until = (wire.moment(str(body.get(name))) for name in ("StartDate", "EndDate"))
        offset = str(body.get("OffSetValue"))
        if since is None or until is None or not offset.isdigit():
            return await _refuse(send, 400, "400.002.02", "Bad Request - Invalid StartDate")
        now = time.time()
        since = max(since, now - LISTED_SECONDS)
        found = [p for p in self._payments if since <= int(p.at) and p.at <= until + 1 and p.listed <= now]
        page = found[int(offset) : int(offset) + script.page]
        told: dict[str, Any] = {"ResponseRefID": secrets.token_hex(8), "ResponseCode": "1000"}
        told |= {"ResponseMessage": "Success", "Response": [[wire.listed(payment) for payment in page]]}
        if not page:
            told |= {"ResponseCode": "1001", "ResponseMessage": "No transactions", "Response": "[[]]"}
        return await answer(send, to_json(told))


async def _refuse(send: Send, status: int, code: str, message: str) -> None:
    await answer(send, to_json(wire.refusal(code, message, secrets.token_hex(4))), status)
