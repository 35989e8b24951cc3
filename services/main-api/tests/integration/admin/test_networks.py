"""The MNO registry through its door: changed by staff, shown with a dry run, never half."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from sema_common.platform.db import Database

PATH = "/v1/admin/mno-prefixes"
Headers = dict[str, str]
LogIn = Callable[..., Awaitable[Headers]]
CSV = {"content-type": "text/csv"}


@pytest.fixture
async def admin(staff: LogIn) -> Headers:
    return await staff()


async def audited(client: httpx.AsyncClient, admin: Headers, **filters: str) -> list[dict[str, Any]]:
    page = await client.get(
        "/v1/admin/audit-log", headers=admin, params={"subject_type": "mno_prefix"} | filters
    )
    data: list[dict[str, Any]] = page.json()["data"]
    return data


async def lookup(client: httpx.AsyncClient, admin: Headers, phone: str) -> tuple[str | None, int | None]:
    answer = (await client.get(f"{PATH}/lookup", headers=admin, params={"phone": phone})).json()
    return answer["mno"], answer["tier"]


async def test_the_registry_is_listed_by_prefix_and_searched(
    client: httpx.AsyncClient, admin: Headers
) -> None:
    first = (await client.get(PATH, headers=admin, params={"country": "KE", "limit": 3})).json()
    rest = {"country": "KE", "limit": 200, "cursor": first["next_cursor"]}
    second = (await client.get(PATH, headers=admin, params=rest)).json()
    found = [(row["prefix"], row["source"]) for row in first["data"] + second["data"]]
    assert found == sorted(set(found))
    assert ("25474", "curated") in found
    params = {"prefix": "25474", "source": "curated", "mno": "AIR"}
    (row,) = (await client.get(PATH, headers=admin, params=params)).json()["data"]
    assert (row["mno"], row["calling_code"], row["note"]) == ("Airtel", "254", "0740-0756")


async def test_a_row_is_put_and_removed_and_who_did_it_is_written_down(
    client: httpx.AsyncClient, admin: Headers
) -> None:
    assert await lookup(client, admin, "+254747123456") == ("Airtel", 1)
    body = {"prefix": "254747", "country": "KE", "mno": "JTL"}
    made = await client.post(PATH, json=body, headers=admin)
    assert (made.status_code, made.json()["source"]) == (201, "curated")
    assert await lookup(client, admin, "+254747123456") == ("JTL", 1)
    changed = await client.post(PATH, json=body | {"mno": "Faiba", "note": "renamed"}, headers=admin)
    assert (changed.status_code, changed.json()["mno"]) == (200, "Faiba")
    same = await client.post(PATH, json=body | {"mno": "Faiba", "note": "renamed"}, headers=admin)
    assert same.status_code == 200
    assert (await client.delete(f"{PATH}/254747", headers=admin)).status_code == 204
    assert (await client.delete(f"{PATH}/254747", headers=admin)).status_code == 404
    assert await lookup(client, admin, "+254747123456") == ("Airtel", 1)
    lines = await audited(client, admin, subject_id="254747")
    assert [line["action"] for line in lines] == [
        "mno_prefix.removed",
        "mno_prefix.changed",
        "mno_prefix.added",
    ]
    assert (lines[1]["before"]["mno"], lines[1]["after"]["mno"]) == ("JTL", "Faiba")
    assert all(line["actor"] == "staff" and line["actor_id"] for line in lines)
    for wrong in (
        {"mno": ""},
        {"country": "XX"},
        {"prefix": "0747"},
        {"prefix": "254"},
        {"source": "rumour"},
    ):
        assert (await client.post(PATH, json=body | wrong, headers=admin)).status_code == 422


async def test_an_export_is_an_import_that_changes_nothing(client: httpx.AsyncClient, admin: Headers) -> None:
    exported = await client.get(f"{PATH}/export", headers=admin)
    assert exported.headers["content-disposition"] == 'attachment; filename="mno-prefixes.csv"'
    answer = await client.post(
        f"{PATH}/import", params={"replace": True}, content=exported.content, headers=admin | CSV
    )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["rows"], answer.json()["unchanged"], answer.json()["changes"]) == (982, 982, [])
    assert await audited(client, admin) == []


async def test_a_dry_run_shows_what_an_import_does(client: httpx.AsyncClient, admin: Headers) -> None:
    text = (await client.get(f"{PATH}/export", headers=admin, params={"source": "curated"})).text
    lines = [line for line in text.splitlines() if ",25411," not in line]
    table = "\n".join(
        [*lines, "KE,254,254747,JTL,curated,", "KE,254,25479,Safaricom,curated,checked"]
    ).replace("KE,254,25479,Airtel,curated,0790-0799\n", "")
    everything = {"replace": "true", "dry_run": "true"}
    dry = (await client.post(f"{PATH}/import", params=everything, content=table, headers=admin | CSV)).json()
    assert (dry["dry_run"], dry["added"], dry["changed"], dry["removed"], dry["unchanged"]) == (
        True,
        1,
        1,
        1,
        16,
    )
    assert [(c["what"], (c["after"] or c["before"])["prefix"]) for c in dry["changes"]] == [
        ("removed", "25411"),
        ("added", "254747"),
        ("changed", "25479"),
    ]
    assert await lookup(client, admin, "+254790123456") == ("Airtel", 1)
    done = (
        await client.post(f"{PATH}/import", params={"replace": "true"}, content=table, headers=admin | CSV)
    ).json()
    assert done | {"dry_run": True} == dry
    assert await lookup(client, admin, "+254790123456") == ("Safaricom", 1)
    assert await lookup(client, admin, "+254110123456") == ("Safaricom", 2)  # the carrier data answers now
    assert [line["action"] for line in await audited(client, admin)] == [
        "mno_prefix.changed",
        "mno_prefix.added",
        "mno_prefix.removed",
    ]


async def test_a_wrong_line_leaves_the_registry_as_it_was(
    client: httpx.AsyncClient, admin: Headers, pipeline: Database
) -> None:
    table = "country_iso2,prefix_e164_digits,mno\nKE,254747,JTL\nKE,255747,JTL\n"
    answer = await client.post(f"{PATH}/import", content=table, headers=admin | CSV)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "line 3")
    assert await lookup(client, admin, "+254747123456") == ("Airtel", 1)
    assert (await client.post(f"{PATH}/import", json={}, headers=admin)).status_code == 415
    await pipeline.execute("DELETE FROM core.mno_prefixes WHERE prefix <> '25470' OR source <> 'curated'")
    last = await client.delete(f"{PATH}/25470", headers=admin)
    assert (last.status_code, last.json()["code"]) == (409, "registry_empty")


async def test_disagreements_are_shown_and_corrected_by_one_click(
    client: httpx.AsyncClient, admin: Headers
) -> None:
    found = (await client.get(f"{PATH}/disagreements", headers=admin)).json()["data"]
    by_prefix = {one["prefix"]: (one["curated"]["mno"], one["carrier"]["mno"]) for one in found}
    assert by_prefix["254744"] == ("Airtel", "Homeland Media")
    assert by_prefix["254747"] == ("Airtel", "JTL")
    assert by_prefix["254768"] == ("Airtel", "Safaricom")
    assert {one["country"] for one in found} == {"KE"}
    corrected = await client.post(f"{PATH}/disagreements/254744/correct", headers=admin)
    assert (corrected.status_code, corrected.json()["mno"], corrected.json()["source"]) == (
        200,
        "Homeland Media",
        "curated",
    )
    assert await lookup(client, admin, "+254744123456") == ("Homeland Media", 1)
    left = (await client.get(f"{PATH}/disagreements", headers=admin)).json()["data"]
    assert {one["prefix"] for one in found} - {one["prefix"] for one in left} == {"254744"}
    assert (await client.post(f"{PATH}/disagreements/254744/correct", headers=admin)).status_code == 404
    (line,) = await audited(client, admin)
    assert (line["before"], line["after"]["note"]) == (None, "corrected to the carrier data")


async def test_a_calling_code_in_the_second_tier_allows_a_countrys_unknown_networks(
    client: httpx.AsyncClient, admin: Headers
) -> None:
    assert await lookup(client, admin, "+2315259435") == (None, None)
    body = {"prefix": "231", "country": "LR", "mno": "Unknown", "source": "libphonenumber"}
    assert (await client.post(PATH, json=body, headers=admin)).status_code == 201
    assert await lookup(client, admin, "+2315259435") == ("Unknown", 2)


async def test_support_reads_and_does_not_change(
    client: httpx.AsyncClient, staff: LogIn, auth: Headers
) -> None:
    support = await staff("staff_support")
    for path in (PATH, f"{PATH}/export", f"{PATH}/disagreements", f"{PATH}/lookup?phone=%2B254712345678"):
        assert (await client.get(path, headers=support)).status_code == 200
        assert (await client.get(path, headers=auth)).status_code == 404
    body = {"prefix": "254747", "country": "KE", "mno": "JTL"}
    assert (await client.post(PATH, json=body, headers=support)).status_code == 403
    assert (await client.post(f"{PATH}/import", content=b"", headers=support | CSV)).status_code == 403
    assert (await client.post(f"{PATH}/disagreements/254744/correct", headers=support)).status_code == 403
    assert (await client.delete(f"{PATH}/25470", headers=support)).status_code == 403
