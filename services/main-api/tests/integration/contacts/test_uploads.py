"""Contacts come in through the door: as JSON, as CSV, whole or not at all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import httpx
import pytest

from sema_common.platform.bus import Bus, Delivery
from sema_common.platform.db import Database, Tx
from sema_common.values.errors import BrokerUnavailable
from sema_common.wire.contacts import ValidateContacts
from sema_common.wire.queues import CONTACTS_VALIDATE
from sema_main_api.accounts.opening import Opened
from sema_main_api.contacts import rules, telling, uploading
from sema_main_api.contacts.store import contacts as store
from sema_main_api.contacts.store.jobs import JobRow

Headers = dict[str, str]
NewList = Callable[..., Awaitable[str]]
Open = Callable[..., Awaitable[Opened]]
Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
CSV = {"content-type": "text/csv"}


async def contacts(
    client: httpx.AsyncClient, auth: Headers, path: str, **filters: Any
) -> list[dict[str, Any]]:
    answer = await client.get(f"{path}/contacts", headers=auth, params={"limit": 200} | filters)
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


async def upload(
    client: httpx.AsyncClient, auth: Headers, path: str, table: bytes | str, **more: str
) -> httpx.Response:
    content = table.encode() if isinstance(table, str) else table
    return await client.post(f"{path}/contacts", content=content, headers=auth | CSV | more)


async def test_a_table_becomes_contacts_with_attributes_and_a_job(
    client: httpx.AsyncClient, auth: Headers, new_list: NewList, vhost: str
) -> None:
    path = await new_list(default_country="KE")
    table = (
        '\ufeffPhone,Name,town,sema_mno\r\n+254712345678,Ann,"Nairobi,\r\nWest",x\r\n\r\n0733123456,,,\r\n'
    )
    answer = await upload(client, auth, path, table)
    assert answer.status_code == 202, answer.text
    body = answer.json()
    job_id = body.pop("validation_job_id")
    assert body == {"received": 2, "added": 2, "duplicates": 0, "rejected": 0, "errors": []}
    second, first = await contacts(client, auth, path)
    assert (first["phone"], first["name"]) == ("+254712345678", "Ann")
    assert first["attributes"] == {"town": "Nairobi,\nWest"}
    assert (second["phone"], second["name"], second["attributes"]) == ("0733123456", None, {})
    assert {first["validity"], second["validity"]} == {"pending"}
    detail = (await client.get(path, headers=auth)).json()
    assert detail["contacts"] == {"total": 2, "valid": 0, "invalid": 0, "pending": 2}
    assert (detail["fields"], detail["validation_jobs"]) == (["town"], [job_id])
    job = (await client.get(f"/v1/validation-jobs/{job_id}", headers=auth)).json()
    assert (job["status"], job["total"], job["processed"]) == ("queued", 2, 0)
    told = await next_job(vhost)
    assert (str(told.job_id), told.default_country) == (job_id, "KE")


async def next_job(vhost: str) -> ValidateContacts:
    """What phone-validator is told next."""
    told: asyncio.Queue[ValidateContacts] = asyncio.Queue()

    async def handle(delivery: Delivery[ValidateContacts]) -> None:
        told.put_nowait(delivery.message)

    async with (
        asyncio.timeout(15),
        Bus.open(vhost, name="test") as bus,
        bus.consume(CONTACTS_VALIDATE, [ValidateContacts], handle, prefetch=1),
    ):
        return await told.get()


async def test_spellings_of_one_number_are_one_contact(
    client: httpx.AsyncClient, auth: Headers, new_list: NewList
) -> None:
    path = await new_list(default_country="KE")
    table = "phone,name,a,b\n0712345678,Ann,1,\n+254 712-345-678,,2,3\n254712345678,Bob,,\nrubbish,x,,\n rubbish ,y,,\n"
    answer = (await upload(client, auth, path, table)).json()
    assert (answer["received"], answer["added"], answer["duplicates"]) == (5, 2, 3)
    merged = {c["phone"]: (c["name"], c["attributes"]) for c in await contacts(client, auth, path)}
    assert merged == {"0712345678": ("Bob", {"a": "2", "b": "3"}), "rubbish": ("y", {})}
    again = (await upload(client, auth, path, "phone,c\n+254712345678,4\n+254712345679,\n")).json()
    assert (again["received"], again["added"], again["duplicates"]) == (2, 1, 1)
    fields = {c["phone"]: c["attributes"] for c in await contacts(client, auth, path)}
    assert fields["0712345678"] == {"a": "2", "b": "3", "c": "4"}


async def test_duplicates_are_merged_across_batches(
    client: httpx.AsyncClient, auth: Headers, new_list: NewList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "ROWS_AT_ONCE", 2)
    path = await new_list()
    rows = [f"+25471234567{i % 5},{i}" for i in range(20)]
    answer = (await upload(client, auth, path, "phone,n\n" + "\n".join(rows))).json()
    assert (answer["received"], answer["added"], answer["duplicates"]) == (20, 5, 15)
    assert {c["attributes"]["n"] for c in await contacts(client, auth, path)} == {
        "15",
        "16",
        "17",
        "18",
        "19",
    }


WHOLE: tuple[tuple[bytes, str, int, str], ...] = (
    ("phone\n0712".encode("utf-16"), "text/csv", 422, "UTF-16"),
    ("phone\n0712".encode("utf-16-le"), "text/csv", 422, "UTF-16"),
    (b"phone\n\xe9\xe8", "text/csv", 422, "not UTF-8"),
    (b"PK\x03\x04whatever", "text/csv", 415, "ZIP"),
    (b"\x1f\x8b\x08\x00", "text/csv", 415, "gzip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1", "text/csv", 415, "Excel"),
    (b"phone\n1", "application/pdf", 415, "text/csv"),
    (b"phone\n1", "text/csv; charset=utf-16", 415, "UTF-8"),
    (b"", "text/csv", 422, "`phone`"),
    (b"\n\n", "text/csv", 422, "`phone`"),
    (b"phone\n", "text/csv", 422, "not valid"),
    (b"number,name\n1,2", "text/csv", 422, "`phone`"),
    (b"phone,a,a\n1,2,3", "text/csv", 422, "`a`"),
    (b"phone,{{x}}\n1,2", "text/csv", 422, "braces"),
    (b'phone,a\n1,"never closed\n2,3\n', "text/csv", 422, "line 2"),
    (b"phone,a\n1," + b"x" * (1 << 20) + b"\n", "text/csv", 422, "Line 2"),
    (b"phone\n" + b"x" * (3 << 20), "text/csv", 422, "line 2"),
    (b'phone\n"' + b"x\n" * (1 << 20), "text/csv", 422, "Line 2"),
)


@pytest.mark.parametrize(("table", "kind", "status", "word"), WHOLE)
async def test_what_is_no_table_is_refused_in_clear_words_and_leaves_nothing(
    client: httpx.AsyncClient,
    auth: Headers,
    new_list: NewList,
    table: bytes,
    kind: str,
    status: int,
    word: str,
) -> None:
    path = await new_list()
    answer = await upload(client, auth, path, table, **{"content-type": kind})
    assert answer.status_code == status, answer.text
    problem = answer.json()
    assert problem["code"] == ("validation_failed" if status == 422 else "unsupported_media_type")
    assert word in problem["detail"]
    assert await contacts(client, auth, path) == []
    assert (await client.get(f"{path}/validation-jobs", headers=auth)).json()["data"] == []


async def test_rows_that_are_no_contact_are_named_and_the_others_stored(
    client: httpx.AsyncClient, auth: Headers, new_list: NewList
) -> None:
    path = await new_list()
    table = f"phone,name\n+254712345678,A\n,B\n+1\x00,C\n+254712345679,D,E\n+254712345670,{'x' * 1001}\n{'9' * 101},F\n"
    answer = (await upload(client, auth, path, table)).json()
    assert (answer["received"], answer["added"], answer["rejected"]) == (6, 1, 5)
    assert [(error["line"], error["code"]) for error in answer["errors"]] == [
        (3, "empty"),
        (4, "invalid_characters"),
        (5, "too_many_cells"),
        (6, "too_long"),
        (7, "too_long"),
    ]
    none_good = await upload(client, auth, path, "phone,name\n,A\n")
    assert (none_good.status_code, none_good.json()["errors"][0]["field"]) == (422, "line 2")


async def test_a_million_rows_and_one_are_too_many(
    client: httpx.AsyncClient, auth: Headers, new_list: NewList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "MAX_ROWS", 3)
    path = await new_list()
    table = "phone\n" + "+254712345678\n" * 3
    assert (await upload(client, auth, path, table)).status_code == 202
    answer = await upload(client, auth, path, table + "+254712345678\n")
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_a_form_holds_the_file_and_nothing_else(
    client: httpx.AsyncClient, auth: Headers, new_list: NewList
) -> None:
    path = await new_list()
    files = {"file": ("../../x.csv", b"phone\n+254712345678\n", "application/vnd.ms-excel")}
    answer = await client.post(f"{path}/contacts", files=files, headers=auth)
    assert (answer.status_code, answer.json()["added"]) == (202, 1)
    workbook = {"file": ("x.csv", b"PK\x03\x04", "text/csv")}
    assert (await client.post(f"{path}/contacts", files=workbook, headers=auth)).status_code == 415
    picture = {"file": ("x.png", b"phone\n1", "image/png")}
    assert (await client.post(f"{path}/contacts", files=picture, headers=auth)).status_code == 415
    both = await client.post(f"{path}/contacts", files=files, data={"name": "x"}, headers=auth)
    assert both.status_code == 422
    kind = {"content-type": "multipart/form-data; boundary=b"}
    cut = await client.post(f"{path}/contacts", content=b"--b\r\n\r\nphone", headers=auth | kind)
    assert (cut.status_code, cut.json()["code"]) == (400, "malformed_body")
    garbage = await client.post(f"{path}/contacts", content=b"garbage", headers=auth | kind)
    assert garbage.status_code == 400
    nameless = await client.post(
        f"{path}/contacts", content=b"x", headers=auth | {"content-type": "multipart/form-data"}
    )
    assert nameless.status_code == 400


async def test_json_is_taken_as_well_and_bounded(
    client: httpx.AsyncClient, auth: Headers, new_list: NewList
) -> None:
    path = await new_list(default_country="KE")
    body = {
        "contacts": [{"phone": "0712345678", "name": "Ann", "attributes": {"town": "Kisumu"}}, {"phone": "x"}]
    }
    answer = await client.post(f"{path}/contacts", json=body, headers=auth)
    assert (answer.status_code, answer.json()["added"]) == (202, 2)
    wrong = {"contacts": [{"phone": "  "}, {"phone": "1", "attributes": {"{a}": "b"}}, {"phone": "2"}]}
    refused = await client.post(f"{path}/contacts", json=wrong, headers=auth)
    assert [error["field"] for error in refused.json()["errors"]] == ["contacts.0", "contacts.1.attributes"]
    assert len(await contacts(client, auth, path)) == 2
    misshapen: tuple[dict[str, Any], ...] = (
        {},
        {"contacts": []},
        {"contacts": [{"phone": 1}]},
        {"contacts": [{"phone": "1", "tag": "x"}]},
    )
    for bad in misshapen:
        assert (await client.post(f"{path}/contacts", json=bad, headers=auth)).status_code == 422
    long = {"contacts": [{"phone": "1", "attributes": {"a": "x" * 1000}}] * 1200}
    assert (await client.post(f"{path}/contacts", json=long, headers=auth)).status_code == 413


async def test_an_upload_with_a_key_happens_once(
    client: httpx.AsyncClient, auth: Headers, new_list: NewList, pipeline: Database
) -> None:
    path = await new_list()
    key = {"idempotency-key": "one"}
    first = await upload(client, auth, path, "phone\n+254712345678\n", **key)
    again = await upload(client, auth, path, "phone\n+254712345678\n", **key)
    assert again.json() == first.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = await upload(client, auth, path, "phone\n+254712345679\n", **key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await pipeline.fetchval("SELECT count(*) FROM core.contact_validation_jobs") == 1


async def test_an_upload_that_breaks_off_leaves_nothing(
    client: httpx.AsyncClient, auth: Headers, new_list: NewList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "ROWS_AT_ONCE", 2)
    real = uploading.Upload.batches

    def broken(self: uploading.Upload) -> Any:
        for number, batch in enumerate(real(self)):
            if number == 2:
                raise ZeroDivisionError
            yield batch

    path = await new_list()
    monkeypatch.setattr(uploading.Upload, "batches", broken)
    table = "phone\n" + "\n".join(f"+2547123456{i:02}" for i in range(10))
    assert (await upload(client, auth, path, table)).status_code == 500
    assert await contacts(client, auth, path) == []
    assert (await client.get(f"{path}/validation-jobs", headers=auth)).json()["data"] == []

    async def cut() -> AsyncIterator[bytes]:
        yield b"phone\n+254712345678\n"
        raise ConnectionError

    assert (await client.post(f"{path}/contacts", content=cut(), headers=auth | CSV)).status_code == 500
    assert await contacts(client, auth, path) == []


async def test_uploads_to_one_list_take_turns(
    client: httpx.AsyncClient, auth: Headers, new_list: NewList, pipeline: Database
) -> None:
    path = await new_list()
    bodies = [{"contacts": [{"phone": "+254712345678", "attributes": {f"a{i}": "x"}}]} for i in range(8)]
    answers = await asyncio.gather(
        *(client.post(f"{path}/contacts", json=body, headers=auth) for body in bodies)
    )
    assert sorted(answer.json()["added"] for answer in answers) == [0] * 7 + [1]
    assert len((await contacts(client, auth, path))[0]["attributes"]) == 8
    async with pipeline.transaction(20) as tx:  # as another instance holds it
        sql = "SELECT 1 FROM core.contact_lists WHERE id = $1 FOR NO KEY UPDATE"
        await tx.fetch(sql, UUID(path.rpartition("/")[2]))
        answer = await upload(client, auth, path, "phone\n+254712345678\n")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


async def test_an_account_reads_a_bounded_number_of_uploads_at_once(
    client: httpx.AsyncClient, auth: Headers, new_list: NewList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "READING_OF_ACCOUNT", 0)
    answer = await upload(client, auth, await new_list(), "phone\n+254712345678\n")
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    monkeypatch.setattr(uploading, "READING_OF_ACCOUNT", 1)
    monkeypatch.setattr(uploading, "READING_AT_ONCE", 0)
    answer = await upload(client, auth, await new_list(), "phone\n+254712345678\n")
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")


async def test_the_spools_of_all_uploads_are_bounded(serve: Serve, open_: Open) -> None:
    auth = {"authorization": f"Bearer {(await open_()).live_key}"}
    table = "phone\n" + "\n".join(f"+2547{n:08}" for n in range(12_000))
    async with serve(upload_spool_bytes=1 << 20) as client:
        made = await client.post("/v1/contact-lists", json={"name": "L"}, headers=auth)
        path = f"/v1/contact-lists/{made.json()['id']}"
        refused = await upload(client, auth, path, table)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert await contacts(client, auth, path) == []
        assert (await upload(client, auth, path, "phone\n+254712345678\n")).status_code == 202


async def test_a_connection_killed_in_the_middle_of_a_store_leaves_nothing_to_see(
    client: httpx.AsyncClient,
    auth: Headers,
    new_list: NewList,
    owner: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploading, "ROWS_AT_ONCE", 2)
    path = await new_list()
    real = store.put_batch
    done: list[str] = []

    async def killed(tx: Tx, job: JobRow, tenant_id: UUID, live: Sequence[UUID], batch: str) -> int:
        if len(done) == 3:
            assert await contacts(client, auth, path) == []
            backend = await tx.fetchval("SELECT pg_backend_pid()")
            assert await owner.fetchval("SELECT pg_terminate_backend($1, 5000)", backend)
        done.append(batch)
        return await real(tx, job, tenant_id, live, batch)

    table = "phone,town\n" + "\n".join(f"+2547123456{i:02},x" for i in range(10))
    key = {"idempotency-key": "one"}
    with monkeypatch.context() as killing:
        killing.setattr(store, "put_batch", killed)
        broken = await upload(client, auth, path, table, **key)
    assert (broken.status_code, len(done)) == (503, 4)
    assert await contacts(client, auth, path) == []
    assert (await client.get(f"{path}/validation-jobs", headers=auth)).json()["data"] == []
    assert (await client.get(path, headers=auth)).json()["fields"] == []
    again = await upload(client, auth, path, table, **key)
    assert (again.status_code, again.json()["added"]) == (202, 10)


async def test_a_broker_that_is_away_delays_a_job_and_nothing_else(
    client: httpx.AsyncClient,
    auth: Headers,
    new_list: NewList,
    pipeline: Database,
    vhost: str,
    monkeypatch: Any,
) -> None:
    async def away(*_: Any, **__: Any) -> None:
        raise BrokerUnavailable("away")

    path = await new_list()
    with monkeypatch.context() as broken:
        broken.setattr(Bus, "publish", away)
        answer = await upload(client, auth, path, "phone\n+254712345678\n")
    assert answer.status_code == 202
    async with Bus.open(vhost, name="sweep") as bus:
        teller = telling.Telling(pipeline, bus)
        monkeypatch.setattr(telling, "SWEEP_AGE", 0.0)
        await teller.watch()
        await teller.sweep()
        assert str((await next_job(vhost)).job_id) == answer.json()["validation_job_id"]
        assert (
            await pipeline.fetchval(
                "SELECT count(*) FROM core.contact_validation_jobs WHERE published_at IS NULL"
            )
            == 0
        )
        assert await teller.sweep() is False


async def test_another_accounts_lists_are_404_everywhere(
    client: httpx.AsyncClient, auth: Headers, new_list: NewList, open_: Callable[..., Awaitable[Opened]]
) -> None:
    path = await new_list()
    job = (await upload(client, auth, path, "phone\n+254712345678\n")).json()["validation_job_id"]
    contact = f"{path}/contacts/{(await contacts(client, auth, path))[0]['id']}"
    stranger = {"authorization": f"Bearer {(await open_()).live_key}"}
    calls: list[tuple[str, str, Any]] = [
        ("GET", path, None),
        ("DELETE", path, None),
        ("GET", f"{path}/contacts", None),
        ("POST", f"{path}/contacts", {"contacts": [{"phone": "1"}]}),
        ("GET", f"{path}/export", None),
        ("POST", f"{path}/discard-invalid", None),
        ("POST", f"{path}/apply-suggestions", None),
        ("GET", f"{path}/validation-jobs", None),
        ("GET", contact, None),
        ("PATCH", contact, {"name": "x"}),
        ("DELETE", contact, None),
        ("GET", f"/v1/validation-jobs/{job}", None),
        ("POST", f"/v1/validation-jobs/{job}/abort", None),
        ("POST", f"/v1/validation-jobs/{job}/resume", None),
    ]
    for method, url, body in calls:
        answer = await client.request(method, url, json=body, headers=stranger)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), (method, url)
    assert (await client.get("/v1/contact-lists", headers=stranger)).json()["data"] == []
    assert len(await contacts(client, auth, path)) == 1
