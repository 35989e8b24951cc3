"""What is done with contacts once they are in a list: found, corrected, exported, discarded."""

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import httpx
import pytest

from sema_common.platform.db import Database
from sema_main_api.contacts.endpoints import contacts as endpoints
from sema_main_api.contacts.store import jobs

Headers = dict[str, str]
NewList = Callable[..., Awaitable[str]]

VERDICTS = """
UPDATE core.contacts SET validity = v.validity, msisdn = v.msisdn, mno = v.mno, reason = v.reason,
    suggestion = v.suggestion, country = 'KE', validated_at = now()
FROM (VALUES ('+254712345678', 'valid', '+254712345678', 'Safaricom', NULL, NULL),
             ('254733123456', 'invalid', NULL, NULL, 'not_e164', '+254733123456'),
             ('254712345678.0', 'invalid', NULL, NULL, 'too_long', '+254712345678'),
             ('rubbish', 'invalid', NULL, NULL, 'letters', NULL)) AS v(phone, validity, msisdn, mno, reason, suggestion)
WHERE contacts.phone = v.phone
"""
TABLE = """phone,name,=cmd
+254712345678,Ann,=1+1
254733123456,Bob,-5
254712345678.0,@Cem,
rubbish,Dan,
+254700000000,Eve,
"""


class Filled:
    """A list with a valid contact, three invalid ones and a pending one, and its job."""

    def __init__(self, client: httpx.AsyncClient, auth: Headers, path: str, job: str) -> None:
        self.client = client
        self.auth = auth
        self.path = path
        self.job = job

    async def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return await self.client.request(method, path, headers=self.auth, **more)

    async def contacts(self, **filters: Any) -> list[dict[str, Any]]:
        answer = await self.call("GET", f"{self.path}/contacts", params=filters)
        assert answer.status_code == 200, answer.text
        data: list[dict[str, Any]] = answer.json()["data"]
        return data

    async def contact(self, name: str) -> dict[str, Any]:
        (found,) = await self.contacts(search=name)
        return found

    async def job_of(self, job_id: str | None = None) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.call("GET", f"/v1/validation-jobs/{job_id or self.job}")).json()
        return answer


@pytest.fixture
async def filled(client: httpx.AsyncClient, auth: Headers, new_list: NewList, pipeline: Database) -> Filled:
    path = await new_list(name="Customers of 2026")
    answer = await client.post(f"{path}/contacts", content=TABLE, headers=auth | {"content-type": "text/csv"})
    assert answer.status_code == 202, answer.text
    await pipeline.execute(VERDICTS)
    return Filled(client, auth, path, answer.json()["validation_job_id"])


async def test_lists_are_made_found_and_deleted_with_all_that_is_in_them(
    filled: Filled, pipeline: Database
) -> None:
    made = await filled.call("POST", "/v1/contact-lists", json={"name": "Other", "default_country": "UG"})
    page = (await filled.call("GET", "/v1/contact-lists")).json()
    assert [one["name"] for one in page["data"]] == ["Other", "Customers of 2026"]
    assert page["data"][0] == made.json()
    found = (await filled.call("GET", "/v1/contact-lists", params={"name": "customers"})).json()["data"]
    assert [one["name"] for one in found] == ["Customers of 2026"]
    counts = (await filled.call("GET", filled.path)).json()["contacts"]
    assert counts == {"total": 5, "valid": 1, "invalid": 3, "pending": 1}
    assert (await filled.call("DELETE", filled.path)).status_code == 204
    for path in (
        filled.path,
        f"{filled.path}/contacts",
        f"{filled.path}/export",
        f"/v1/validation-jobs/{filled.job}",
    ):
        assert (await filled.call("GET", path)).status_code == 404
    assert (await filled.call("DELETE", filled.path)).status_code == 404
    assert await pipeline.fetchval("SELECT count(*) FROM core.contacts") == 0


async def waits_for_a_lock(owner: Database, call: asyncio.Task[Any]) -> bool:
    """Whether a statement comes to wait for somebody else's lock before the call is over."""
    sql = """SELECT EXISTS (SELECT FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock')"""
    async with asyncio.timeout(10):
        while not call.done():
            if await owner.fetchval(sql):
                return True
    return False


# A delete follows foreign keys in the order in which they were made: now it comes to contacts before their jobs.
CONTACTS_FIRST = """
ALTER TABLE core.contact_validation_jobs DROP CONSTRAINT contact_validation_jobs_contact_list_id_fkey,
    ADD FOREIGN KEY (contact_list_id) REFERENCES core.contact_lists (id) ON DELETE CASCADE
"""


async def test_a_contact_is_corrected_while_its_list_is_being_deleted(
    filled: Filled, owner: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = f"{filled.path}/contacts/{(await filled.contact('Bob'))['id']}"
    real = jobs.insert_job
    deleting: list[asyncio.Task[httpx.Response]] = []

    async def insert(*args: Any) -> jobs.JobRow:
        deleting.append(asyncio.create_task(filled.call("DELETE", filled.path)))
        assert await waits_for_a_lock(owner, deleting[0])
        return await real(*args)

    monkeypatch.setattr(jobs, "insert_job", insert)
    corrected = await filled.call("PATCH", bob, json={"phone": "+254733123456"})
    assert (corrected.status_code, (await deleting[0]).status_code) == (200, 204)


@pytest.mark.parametrize("status", ["running", "aborted"])
async def test_a_list_is_deleted_while_its_contacts_are_judged(
    filled: Filled, owner: Database, status: str
) -> None:
    job = UUID(filled.job)
    await owner.execute("UPDATE core.contact_validation_jobs SET status = $2 WHERE id = $1", job, status)
    await owner.execute(CONTACTS_FIRST)
    async with owner.transaction(20) as tx:  # as phone-validator's chunk, and a correction, hold them
        await tx.execute("SELECT FROM core.contact_validation_jobs WHERE id = $1 FOR NO KEY UPDATE", job)
        deleting = asyncio.create_task(filled.call("DELETE", filled.path))
        assert await waits_for_a_lock(owner, deleting)
        await tx.execute("UPDATE core.contacts SET name = 'X' WHERE job_id = $1", job)
    assert (await deleting).status_code == 204


async def test_attributes_are_never_lost_to_somebody_who_adds_others(filled: Filled, owner: Database) -> None:
    ann = f"{filled.path}/contacts/{(await filled.contact('Ann'))['id']}"
    list_id = UUID(filled.path.rpartition("/")[2])
    async with owner.transaction(
        20
    ) as tx:  # as another upload that has the list, and knows another attribute
        await tx.execute(
            "UPDATE core.contact_lists SET fields = fields || '{other}'::text[] WHERE id = $1", list_id
        )
        changing = asyncio.create_task(filled.call("PATCH", ann, json={"attributes": {"new": "x"}}))
        assert await waits_for_a_lock(owner, changing)
    assert (await changing).status_code == 200
    fields = (await filled.call("GET", filled.path)).json()["fields"]
    assert {"other", "new"} <= set(fields)
    async with owner.transaction(20) as tx:  # a name concerns nobody but the contact
        await tx.execute("SELECT FROM core.contact_lists WHERE id = $1 FOR NO KEY UPDATE", list_id)
        assert (await filled.call("PATCH", ann, json={"name": "Anna"})).status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": "x" * 201}, {"name": "x", "default_country": "XX"}, {"n": 1}]
)
async def test_a_list_of_another_shape_is_refused(
    client: httpx.AsyncClient, auth: Headers, body: Any
) -> None:
    assert (await client.post("/v1/contact-lists", json=body, headers=auth)).status_code == 422


async def test_contacts_are_found_by_what_is_known_of_them(filled: Filled) -> None:
    async def names(**filters: Any) -> list[str]:
        return [contact["name"] for contact in await filled.contacts(**filters)]

    assert await names() == ["Eve", "Dan", "@Cem", "Bob", "Ann"]
    assert await names(validity="valid") == ["Ann"]
    assert await names(validity="invalid") == ["Dan", "@Cem", "Bob"]
    assert await names(validity="pending") == ["Eve"]
    assert await names(reason="letters") == ["Dan"]
    assert await names(mno="Safaricom") == ["Ann"]
    assert await names(search="54712345678") == ["@Cem", "Ann"]
    assert await names(search="DAN") == ["Dan"]
    assert await names(search="%") == []
    first = (await filled.call("GET", f"{filled.path}/contacts", params={"limit": 2})).json()
    second = (
        await filled.call(
            "GET", f"{filled.path}/contacts", params={"limit": 2, "cursor": first["next_cursor"]}
        )
    ).json()
    assert [c["name"] for c in first["data"] + second["data"]] == ["Eve", "Dan", "@Cem", "Bob"]
    crossed = {"limit": 2, "cursor": first["next_cursor"], "validity": "valid"}
    assert (await filled.call("GET", f"{filled.path}/contacts", params=crossed)).status_code == 400
    ann = await filled.contact("Ann")
    assert (await filled.call("GET", f"{filled.path}/contacts/{ann['id']}")).json() == ann
    assert (await filled.call("GET", f"{filled.path}/contacts", params={"validity": "x"})).status_code == 422


async def test_an_export_runs_nothing_in_a_spreadsheet_and_comes_back_as_it_was(
    filled: Filled, new_list: NewList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "EXPORT_ROWS", 2)
    answer = await filled.call("GET", f"{filled.path}/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="contacts.csv"'
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert rows[0][:4] == ["phone", "name", "'=cmd", "sema_msisdn"]
    assert rows[1] == ["'+254712345678", "Ann", "'=1+1", "'+254712345678", "valid", "KE", "Safaricom", "", ""]
    assert rows[3][1] == "'@Cem"
    assert len(rows) == 6
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in rows for cell in row)
    only = await filled.call("GET", f"{filled.path}/export", params={"validity": "valid"})
    assert len(only.text.splitlines()) == 2
    again = await new_list()
    kind = {"content-type": "text/csv"}
    back = await filled.client.post(f"{again}/contacts", content=answer.content, headers=filled.auth | kind)
    assert (back.status_code, back.json()["added"]) == (202, 5)
    copy = Filled(filled.client, filled.auth, again, "")
    given = {c["phone"]: (c["name"], c["attributes"]) for c in await filled.contacts()}
    assert {c["phone"]: (c["name"], c["attributes"]) for c in await copy.contacts()} == given


async def test_a_corrected_contact_is_validated_again_by_a_job_of_its_own(filled: Filled) -> None:
    dan = await filled.contact("Dan")
    path = f"{filled.path}/contacts/{dan['id']}"
    named = (
        await filled.call("PATCH", path, json={"name": "Daniel", "attributes": {"town": "Nakuru"}})
    ).json()
    assert (named["name"], named["attributes"], named["validity"]) == (
        "Daniel",
        {"town": "Nakuru"},
        "invalid",
    )
    assert (await filled.call("GET", filled.path)).json()["fields"] == ["=cmd", "town"]
    changed = (await filled.call("PATCH", path, json={"phone": " 0711000000 "})).json()
    assert (changed["phone"], changed["validity"], changed["reason"]) == ("0711000000", "pending", None)
    assert changed["validation_job_id"] != filled.job
    job = await filled.job_of(changed["validation_job_id"])
    assert (job["status"], job["total"]) == ("queued", 1)
    taken = await filled.call("PATCH", path, json={"phone": "+254 712 345 678"})
    assert (taken.status_code, taken.json()["code"]) == (409, "duplicate_contact")
    for wrong in ({"phone": " "}, {"validity": "valid"}, {"attributes": {"{x}": "y"}}, {"phone": "9" * 101}):
        assert (await filled.call("PATCH", path, json=wrong)).status_code == 422
    assert (await filled.contact("Daniel"))["phone"] == "0711000000"


async def test_a_contact_that_its_job_has_still_before_it_stays_with_it(filled: Filled) -> None:
    eve = await filled.contact("Eve")
    path = f"{filled.path}/contacts/{eve['id']}"
    changed = (await filled.call("PATCH", path, json={"phone": "+254711000001"})).json()
    assert changed["validation_job_id"] == filled.job
    assert (await filled.job_of())["total"] == 5
    assert (await filled.call("DELETE", path)).status_code == 204
    assert (await filled.job_of())["total"] == 4
    assert (await filled.call("DELETE", path)).status_code == 404
    dan = await filled.contact("Dan")
    assert (await filled.call("DELETE", f"{filled.path}/contacts/{dan['id']}")).status_code == 204
    assert (await filled.job_of())["total"] == 4


async def test_invalid_contacts_are_discarded_or_take_their_suggestions(filled: Filled) -> None:
    answer = await filled.call("POST", f"{filled.path}/apply-suggestions")
    assert answer.status_code == 202
    assert (answer.json()["corrected"], answer.json()["merged"]) == (1, 1)
    bob = await filled.contact("Bob")
    assert (bob["phone"], bob["validity"], bob["suggestion"]) == ("+254733123456", "pending", None)
    job = await filled.job_of(answer.json()["validation_job_id"])
    assert (job["status"], job["total"]) == ("queued", 1)
    again = (await filled.call("POST", f"{filled.path}/apply-suggestions")).json()
    assert again["corrected"] == 0
    assert (await filled.job_of(again["validation_job_id"]))["status"] == "completed"
    assert (await filled.call("POST", f"{filled.path}/discard-invalid")).json() == {"discarded": 1}
    assert [contact["name"] for contact in await filled.contacts()] == ["Eve", "Bob", "Ann"]


async def test_a_job_is_aborted_and_resumed(filled: Filled, pipeline: Database) -> None:
    aborted = await filled.call("POST", f"/v1/validation-jobs/{filled.job}/abort")
    assert (aborted.status_code, aborted.json()["status"]) == (200, "aborted")
    assert aborted.json()["finished_at"]
    assert (await filled.call("POST", f"/v1/validation-jobs/{filled.job}/abort")).status_code == 200
    assert (await filled.call("GET", filled.path)).json()["validation_jobs"] == []
    resumed = await filled.call("POST", f"/v1/validation-jobs/{filled.job}/resume")
    assert (resumed.status_code, resumed.json()["status"], resumed.json()["total"]) == (202, "queued", 1)
    early = await filled.call("POST", f"/v1/validation-jobs/{filled.job}/resume")
    assert (early.status_code, early.json()["code"]) == (409, "not_resumable")
    sql = "UPDATE core.contact_validation_jobs SET status = 'completed' WHERE id = $1"
    await pipeline.execute(sql, UUID(filled.job))
    late = await filled.call("POST", f"/v1/validation-jobs/{filled.job}/abort")
    assert (late.status_code, late.json()["code"]) == (409, "not_abortable")
    jobs = (await filled.call("GET", f"{filled.path}/validation-jobs")).json()["data"]
    assert [job["id"] for job in jobs] == [filled.job]


async def test_an_upload_of_known_contacts_validates_what_needs_it(filled: Filled) -> None:
    await filled.call("POST", f"/v1/validation-jobs/{filled.job}/abort")
    kind = {"content-type": "text/csv"}
    answer = await filled.client.post(f"{filled.path}/contacts", content=TABLE, headers=filled.auth | kind)
    assert (answer.json()["added"], answer.json()["duplicates"]) == (0, 5)
    job = answer.json()["validation_job_id"]
    assert (await filled.job_of(job))["total"] == 4  # the valid one stays valid
    by_job = {contact["name"]: contact["validation_job_id"] for contact in await filled.contacts()}
    assert by_job == {"Ann": filled.job, "Bob": job, "@Cem": job, "Dan": job, "Eve": job}
    valid = "phone,name\n+254712345678,Anna\n"
    nothing = await filled.client.post(f"{filled.path}/contacts", content=valid, headers=filled.auth | kind)
    assert (await filled.job_of(nothing.json()["validation_job_id"]))["status"] == "completed"
    assert (await filled.contact("Anna"))["validity"] == "valid"
