"""Africa's Talking, simulated: `messaging`, `user`, and the report it pushes as a form.

HTTP 201 for whatever was looked at, a plain-text 401 for a wrong key, XML for those who do not ask for JSON
are the real one's. There is no asking for a report.
"""

from collections.abc import Mapping
from typing import Final

from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from deploy.sandbox.africastalking_wire import BAD_KEY, Wire, XmlWire, read_form, read_items
from deploy.sandbox.asgi import TEXT, answer, header, read_body
from deploy.sandbox.pusher import Pusher
from deploy.sandbox.simulated import App, Simulated
from sema_aggregators import Credentials

REQUIRED: Final = ("username", "to", "message")


class AfricasTalking(Simulated):
    """Its doors; `credentials.user` is the user name."""

    name = "africastalking"

    def __init__(self, pusher: Pusher, credentials: Credentials) -> None:
        super().__init__(pusher)
        self.paths: Mapping[str, App] = {
            "/version1/messaging": self._send,
            "/version1/user": self._balance,
        }
        self._credentials: Final = credentials
        self._json: Final = Wire()
        self._xml: Final = XmlWire()

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        form = read_form(await read_body(receive))
        if scope["method"] != "POST":
            return await answer(send, b"HTTP method not allowed", 405, TEXT)
        for name in REQUIRED:
            if not form.get(name):
                missing = f"Request is missing required form field '{name}'"
                return await answer(send, missing.encode(), 400, TEXT)
        if not self._knows(scope, form["username"]):
            return await answer(send, BAD_KEY, 401, TEXT)
        wire = self._json if "json" in header(scope, b"accept") else self._xml
        return await self.play(wire, read_items(form), receive, send)

    async def _balance(self, scope: Scope, receive: Receive, send: Send) -> None:
        query = read_form(scope["query_string"])
        if not self._knows(scope, query.get("username", "")):
            return await answer(send, BAD_KEY, 401, TEXT)
        balance = "KES 0.00" if self.script.mode == "low_credit" else "KES 100000.00"
        return await answer(send, to_json({"UserData": {"balance": balance}}))

    def _knows(self, scope: Scope, username: str) -> bool:
        return (username, header(scope, b"apikey")) == (self._credentials.user, self._credentials.secret)
