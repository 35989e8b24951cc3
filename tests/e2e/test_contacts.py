"""A table of customers, from the upload over phone-validator to the export, through the real services."""

import csv
import io
from typing import Any

import pytest

from tests.e2e.conftest import Shop
from tests.kit.client import eventually
from tests.kit.stack import Stack

pytestmark = pytest.mark.stack

ROWS = 3_000
WRONG = (
    ("0712FLOWER", "letters", ""),
    ("07123", "premium_or_short", ""),
    ("071234567", "too_short", ""),
    ("254712345678.0", "too_long", "+254712345678"),
    ("+22507123456", "old_numbering_plan", "+2250707123456"),
)


def table() -> str:
    numbers = [f"07{10_000_000 + n}" if n % 2 else f"+2547{10_000_000 + n}" for n in range(ROWS)]
    rows = ["phone,name,town", *(f"{number},Customer {n},=Kisumu" for n, number in enumerate(numbers))]
    return "\r\n".join(
        ["\ufeff" + rows[0], *rows[1:], *(f"{phone},Wrong," for phone, *_ in WRONG), rows[1], ""]
    )


async def completed(shop: Shop, job_id: str) -> dict[str, Any]:
    """The job, once every contact of it is judged."""

    async def look() -> dict[str, Any]:
        job: dict[str, Any] = await shop.api.get(f"/v1/validation-jobs/{job_id}")
        assert job["status"] == "completed", job
        return job

    return await eventually(look, 30.0)


async def test_an_upload_is_validated_and_comes_back_as_a_table(shop: Shop) -> None:
    made = await shop.api.post("/v1/contact-lists", {"name": "Customers", "default_country": "KE"})
    path = f"/v1/contact-lists/{made.json()['id']}"
    answer = await shop.api.http.post(
        f"{path}/contacts", content=table().encode(), headers={"content-type": "text/csv"}, timeout=30
    )
    assert answer.status_code == 202, answer.text
    stored = answer.json()
    assert (stored["added"], stored["duplicates"], stored["rejected"]) == (ROWS + len(WRONG), 1, 0)
    job = await completed(shop, stored["validation_job_id"])
    assert (job["total"], job["valid"], job["invalid"]) == (ROWS + len(WRONG), ROWS, len(WRONG))
    assert job["by_mno"] == {"Safaricom": ROWS}
    assert job["by_reason"] == {reason: 1 for _, reason, _ in WRONG}
    assert (await shop.api.get(path))["contacts"]["pending"] == 0
    exported = await shop.api.http.get(f"{path}/export", params={"validity": "invalid"})
    rows = list(csv.DictReader(io.StringIO(exported.text, newline="")))
    assert [
        (r["phone"].lstrip("'"), r["sema_reason"], r["sema_suggestion"].lstrip("'")) for r in rows
    ] == list(WRONG)
    everything = (await shop.api.http.get(f"{path}/export")).text
    assert not any(cell.startswith(("=", "+")) for row in csv.reader(io.StringIO(everything)) for cell in row)
    fixed = (await shop.api.post(f"{path}/apply-suggestions")).json()
    assert (fixed["corrected"], fixed["merged"]) == (2, 0)
    assert (await completed(shop, fixed["validation_job_id"]))["valid"] == 2
    assert (await shop.api.post(f"{path}/discard-invalid")).json() == {"discarded": 3}
    assert (await shop.api.get(path))["contacts"] == {
        "total": ROWS + 2,
        "valid": ROWS + 2,
        "invalid": 0,
        "pending": 0,
    }
    assert (await shop.api.http.delete(path)).status_code == 204


async def test_a_killed_validator_goes_on_where_it_was(shop: Shop, stack: Stack) -> None:
    made = await shop.api.post("/v1/contact-lists", {"name": "Long", "default_country": "KE"})
    rows = "\n".join(f"07{10_000_000 + n}" for n in range(40_000))
    answer = await shop.api.http.post(
        f"/v1/contact-lists/{made.json()['id']}/contacts",
        content=f"phone\n{rows}\n".encode(),
        headers={"content-type": "text/csv"},
        timeout=60,
    )
    job_id = answer.json()["validation_job_id"]

    async def begun() -> None:
        assert (await shop.api.get(f"/v1/validation-jobs/{job_id}"))["processed"] > 0

    await eventually(begun, 30.0)
    await stack.kill("phone-validator")
    job = await completed(shop, job_id)
    assert (job["valid"], job["processed"], job["total"]) == (40_000, 40_000, 40_000)
