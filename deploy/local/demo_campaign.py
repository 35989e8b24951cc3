"""The demo's campaign: a contact list as people type it, its numbers judged, a text to everybody who is left.

This is the way through phone-validator and content-worker, which no single message passes.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import httpx
from rich.console import Console

SECONDS: Final = 30.0
"""For each step: a campaign waits for its verdict, its turn, an aggregator and its reports."""

CSV: Final = """phone,name,town
0722 000 111,Ann,Kisumu
+254733123456,Juma,Nairobi
+254 110 123 456,Otieno,
not a number,Nobody,
0722000111,Ann again,Kisumu
12345,Short,
"""
VALID: Final = 3
TEXT: Final = "Habari {{name}}! Our shop is open on Sundays from 10:00."

Json = dict[str, Any]


async def tell(console: Console, http: httpx.AsyncClient) -> list[str]:
    """What went wrong, best nothing."""
    name = f"Demo {secrets.token_hex(3)}"
    made = await http.post("/v1/contact-lists", json={"name": name, "default_country": "KE"})
    contacts = f"/v1/contact-lists/{made.raise_for_status().json()['id']}"
    upload = await http.post(f"{contacts}/contacts", content=CSV, headers={"content-type": "text/csv"})
    job_id = upload.raise_for_status().json()["validation_job_id"]
    console.print(f"  POST {contacts[:19]}…/contacts, a CSV of six rows → {upload.status_code}")
    job = await _until(http, f"/v1/validation-jobs/{job_id}", lambda job: job["status"] == "completed")
    if job is None or job["valid"] != VALID:
        return [f"phone-validator did not find {VALID} valid numbers: {job}"]
    console.print(
        f"  phone-validator judged {job['total']} numbers: {job['valid']} valid {job['by_mno']},"
        f" {job['invalid']} invalid {job['by_reason']}"
    )
    list_id = contacts.rpartition("/")[2]
    good = await _campaign(http, list_id, TEXT)
    bad = await _campaign(http, list_id, f"Click http://bit.ly/{secrets.token_hex(3)} to claim your prize.")
    rejected = await _until(http, bad, lambda campaign: campaign["status"] == "rejected")
    if rejected is None:
        return ["content-worker did not reject a campaign with a hidden link"]
    reasons = ", ".join(reason["check"] for reason in rejected["rejection_reasons"])
    console.print(f"  content-worker rejected a campaign: {reasons}; nothing of it was charged")
    done = await _until(http, good, _all_delivered)
    if done is None:
        return [f"the campaign was not delivered: {(await http.get(good)).text}"]
    console.print(f"  and let another go: {done['status']}, {done['totals']}, for {done['cost']['amount']}")
    return []


def _all_delivered(campaign: Json) -> bool:
    return bool(campaign["status"] == "completed" and campaign["totals"]["delivered"] == VALID)


async def _campaign(http: httpx.AsyncClient, list_id: str, text: str) -> str:
    body = {"name": "Sundays", "contact_list_id": list_id, "from": "SEMALINK", "message": text}
    made = await http.post("/v1/campaigns", json=body)
    return f"/v1/campaigns/{made.raise_for_status().json()['id']}"


async def _until(http: httpx.AsyncClient, path: str, done: Callable[[Json], bool]) -> Json | None:
    """Polls until there is something to see, at most SECONDS."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        found: Json = (await http.get(path)).raise_for_status().json()
        if done(found):
            return found
        await asyncio.sleep(0.1)
    return None
