"""Staff block a word: every process refuses it within seconds, and a campaign with it is rejected."""

import secrets
from collections.abc import Callable

import httpx
import pytest

from tests.e2e.conftest import Shop
from tests.kit.client import eventually
from tests.kit.stack import Stack

pytestmark = pytest.mark.stack

RULES = "/v1/admin/content-rules"


async def test_a_word_that_staff_add_is_refused_within_seconds_and_taken_again_without_it(
    stack: Stack, shop: Shop, number: Callable[[], str]
) -> None:
    word = "".join(secrets.choice("bcdfghjkmnpqrvwxz") for _ in range(12))
    async with httpx.AsyncClient(base_url=stack.env["SEMA_API_URL"], timeout=30) as staff:
        login = {"email": stack.env["SEMA_STAFF_EMAIL"], "password": stack.env["SEMA_STAFF_PASSWORD"]}
        token = (await staff.post("/v1/auth/login", json=login)).json()["access_token"]
        staff.headers["authorization"] = f"Bearer {token}"

        async def send(body: str) -> httpx.Response:
            return await shop.api.post("/v1/messages", {"to": number(), "from": "SEMALINK", "body": body})

        assert (await send(f"about {word}")).status_code == 202
        rule = await staff.post(RULES, json={"kind": "word", "value": word, "note": "e2e"})
        assert rule.status_code == 201, rule.text

        async def refused() -> None:
            answer = await send(f"about {' '.join(word)}")
            assert answer.status_code == 422, answer.text
            assert answer.json()["code"] == "content_rejected"
            assert answer.json()["reasons"] == [
                {"check": "blocklist", "detail": f"contains the blocked word '{word}'"}
            ]

        try:
            await eventually(refused, 10)
            assert (await send(word.upper())).status_code == 422
        finally:
            gone = await staff.delete(f"{RULES}/{rule.json()['id']}")
        assert gone.status_code == 204

        async def accepted() -> None:
            assert (await send(f"again {word}")).status_code == 202

        await eventually(accepted, 10)
