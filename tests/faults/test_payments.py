"""kill -9 at every step of a payment: nobody is asked twice, nothing is credited twice, what was paid is credited."""

from decimal import Decimal
from typing import Any

import asyncpg
import httpx
import pytest

from tests.faults.points import PAYMENTS
from tests.faults.scene import Scene
from tests.kit.client import eventually

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

AMOUNT = 100
UNPUSHED = 3
"""Killed between the claim and the call, nobody knows that the phone was never lit up: it is not asked again. So it
is at `before_push`, and where a list point strikes on an earlier payment while the next is about to be pushed."""

BY_LIST = ("payments.after_list", "payments.list_before_commit")
"""Reached where the list settles a payment; the others where the status query does. Each way alone, so that it is."""


async def test_what_was_paid_is_credited_once_wherever_main_api_is_killed(scene: Scene) -> None:
    db = await asyncpg.connect(scene.stack.env["DATABASE_URL"])
    sandbox = scene.sandbox.http
    asked = {}
    for line, point in enumerate(PAYMENTS["main-api"], 1):
        by_list = point in BY_LIST
        script = {
            "query": "processing" if by_list else "ok",
            "list": {"mode": "ok" if by_list else "http_500"},
            "c2b": {"enabled": by_list},
        }
        assert (await sandbox.put("/_control/daraja", json=script)).status_code == 200
        arm = scene.points.arm(point, "kill")
        body = {"amount": {"amount": str(AMOUNT), "currency": "KES"}, "phone": f"+2547{line}9990000"}

        async def taken(body: Any = body, point: str = point) -> None:
            try:
                answer = await scene.client.http.post(
                    "/v1/top-ups", json=body, headers={"idempotency-key": f"{scene.hook} {point}"}
                )
            except httpx.TransportError as exc:
                raise AssertionError("the API does not answer") from exc
            assert answer.status_code == 202, answer.text
            asked[point] = answer.json()["id"]

        await eventually(taken, 60.0)

        async def reached(arm=arm) -> None:  # type: ignore[no-untyped-def]
            assert scene.points.fired(arm), f"{arm.point} was never reached"

        await eventually(reached, 60.0)
        scene.points.disarm(arm)

    await sandbox.post("/_control/daraja/reset")
    rows = await db.fetch(
        "SELECT id::text, account_reference FROM billing.top_ups WHERE id = ANY($1::uuid[])",
        list(asked.values()),
    )
    references = {row["account_reference"]: row["id"] for row in rows}

    async def even() -> list[str]:
        """What the sandbox saw paid, once all of it is credited and nothing waits to be pushed."""
        book = (await sandbox.get("/_received/daraja-payments")).json()["data"]
        paid = sorted(
            references[e["account_reference"]] for e in book if e["account_reference"] in references
        )
        credits = await db.fetch(
            "SELECT reference::text, amount FROM billing.credit_ledger WHERE account_id = $1 AND kind = 'top_up'",
            scene.client.account_id,
        )
        assert sorted(row["reference"] for row in credits) == paid
        assert {row["amount"] for row in credits} == {Decimal(AMOUNT)}
        assert not await db.fetchval("SELECT count(*) FROM billing.top_ups WHERE push_at IS NOT NULL")
        return paid

    paid = await eventually(even, 60.0)
    assert len(paid) >= len(asked) - UNPUSHED
    pushes = (await sandbox.get("/_received/daraja")).json()["data"]
    pushed = [push["client_id"] for push in pushes if push["client_id"] in references]
    assert len(pushed) == len(set(pushed)), "a phone was lit up twice"
    await db.close()
    await scene.judge()
