"""A customer who pays by M-Pesa, and a simulated Daraja that main-api and its test both hold."""

from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Any

import httpx
from pydantic_core import from_json

from deploy.sandbox.app import Sandbox
from deploy.sandbox.daraja import Daraja
from deploy.sandbox.witness import Witness
from sema_common.platform.db import Database
from sema_main_api.accounts.opening import Opened
from tests.kit.client import eventually

TOKEN = "0123456789abcdef" * 2
UNIT = 0.25
"""Seconds that stand for the minutes between two looks."""

_PHONES = count(1)

Json = dict[str, Any]


def phone(magic: int | None = None) -> str:
    """Somebody's who is in no other test; `magic`: what becomes of his pushes."""
    number = next(_PHONES)
    return f"+25472{number:07}" if magic is None else f"+2547{number % 10}999{magic:04}"


@dataclass
class Desk:
    """A customer, and the provider's side of his payments."""

    api: httpx.AsyncClient
    auth: dict[str, str]
    account: Opened
    daraja: Daraja
    owner: Database
    sandbox: Sandbox
    daraja_url: str

    async def ask(self, amount: str = "100.0000", to: str | None = None, **headers: str) -> httpx.Response:
        body = {"amount": {"amount": amount, "currency": "KES"}, "phone": to or phone()}
        return await self.api.post("/v1/top-ups", json=body, headers=self.auth | headers)

    async def top_up(self, amount: str = "100.0000", to: str | None = None) -> Json:
        answer = await self.ask(amount, to)
        assert answer.status_code == 202, answer.text
        found: Json = answer.json()
        return found

    async def read(self, top_up: Json) -> Json:
        found: Json = (await self.api.get(f"/v1/top-ups/{top_up['id']}", headers=self.auth)).json()
        return found

    async def becomes(self, top_up: Json, status: str, seconds: float = 10.0) -> Json:
        """The top-up, once it has that status."""

        async def look() -> Json:
            found = await self.read(top_up)
            assert found["status"] == status, found
            return found

        return await eventually(look, seconds)

    def script(self, **changes: Any) -> None:
        self.daraja.script = self.daraja.script.changed(changes)

    def pushes(self) -> list[Json]:
        return self._book(self.daraja.witness)

    def payments(self) -> list[Json]:
        return self._book(self.daraja.paybill.witness)

    async def pay(self, account: str, amount: str = "100") -> Json:
        """Somebody pays by hand."""
        transport = httpx.ASGITransport(self.sandbox)
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as http:
            body = {"account": account, "amount": amount}
            found: Json = (await http.post("/_control/daraja/pay", json=body)).json()
            return found

    async def credits(self) -> list[Decimal]:
        """What was credited by M-Pesa to this account."""
        sql = "SELECT amount FROM billing.credit_ledger WHERE account_id = $1 AND kind = 'top_up' ORDER BY entry_id"
        return [row["amount"] for row in await self.owner.fetch(sql, self.account.account_id)]

    async def credited(self, *amounts: int, seconds: float = 10.0) -> None:
        """These, in any order, and no others."""

        async def look() -> None:
            assert sorted(await self.credits()) == sorted(map(Decimal, amounts))

        await eventually(look, seconds)

    async def list_is_read(self) -> None:
        """From its beginning, once more, after all that has happened until now."""
        await self.owner.execute(
            "UPDATE billing.payment_tasks SET due_at = now(), done_to = NULL WHERE name = 'list'"
        )

        async def read() -> None:
            assert await self.owner.fetchval("SELECT done_to FROM billing.payment_tasks WHERE name = 'list'")
            waiting = "SELECT count(*) FROM billing.mpesa_payments WHERE state = 'listed'"
            assert await self.owner.fetchval(waiting) == 0

        await eventually(read)

    @staticmethod
    def _book(witness: Witness) -> list[Json]:
        found: list[Json] = from_json(b"[" + witness.read(0, 1000) + b"]")
        return found
