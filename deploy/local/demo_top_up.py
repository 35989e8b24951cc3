"""The demo's payment: a top-up by M-Pesa, from the prompt on the phone to the credit in the ledger."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

import httpx
from rich.console import Console

SECONDS: Final = 20.0
"""A second or two; the rest is for a machine that is busy with something else."""

AMOUNT: Final = {"amount": "500.0000", "currency": "KES"}
PAYER: Final = "+254719990000"
"""A number that pays whatever the sandbox was told (deploy/sandbox/README.md)."""

Json = dict[str, Any]


async def tell(console: Console, http: httpx.AsyncClient) -> list[str]:
    """What went wrong, best nothing."""
    before = await _balance(http)
    started = time.monotonic()
    asked = await http.post("/v1/top-ups", json={"amount": AMOUNT, "phone": PAYER})
    top_up: Json = asked.raise_for_status().json()
    console.print(
        f"  POST /v1/top-ups             → {asked.status_code}, {top_up['status']}: {PAYER} is asked for KES 500"
    )
    path = f"/v1/top-ups/{top_up['id']}"
    while (top_up["status"] == "pending" or not top_up["receipt"]) and time.monotonic() < started + SECONDS:
        await asyncio.sleep(0.1)
        top_up = (await http.get(path)).raise_for_status().json()
    took = time.monotonic() - started
    console.print(
        f"  GET  /v1/top-ups/…           → {top_up['status']} after {took:.1f} s, M-Pesa receipt {top_up['receipt']}"
    )
    ledger = (await http.get("/v1/ledger?limit=1")).raise_for_status().json()["data"][0]
    after = await _balance(http)
    console.print(
        f"  the ledger's newest entry: {ledger['kind']} {ledger['amount']['amount']}; balance {before} → {after}"
    )
    failures = []
    if top_up["status"] != "succeeded":
        failures.append(f"the top-up is {top_up['status']} ({top_up['reason']})")
    if (ledger["kind"], ledger["reference"]) != ("top_up", top_up["id"]):
        failures.append("the ledger does not show the top-up")
    return failures


async def _balance(http: httpx.AsyncClient) -> str:
    amount: str = (await http.get("/v1/balance")).raise_for_status().json()["balance"]["amount"]
    return amount
