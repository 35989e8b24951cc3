"""The MNO registry as a table, and where its tiers disagree."""

import pytest

from sema_common.values.errors import Refused
from sema_main_api.admin.networks.rules import (
    Change,
    Disagreement,
    Prefix,
    changes,
    disagreements,
    read_table,
    table,
)
from sema_main_api.http import tables

CURATED = Prefix("25474", "curated", "KE", "Airtel", "0740-0756")
NARROW = Prefix("254747", "curated", "KE", "JTL", None)
CARRIER = Prefix("25474", "libphonenumber", "KE", "Safaricom", "9.0.43")
HOMELAND = Prefix("254744", "libphonenumber", "KE", "Homeland Media", "9.0.43")
FAIBA = Prefix("254747", "libphonenumber", "KE", "JTL", "9.0.43")
ALL = [CURATED, NARROW, CARRIER, HOMELAND, FAIBA]


def test_a_table_is_read_as_it_was_written() -> None:
    assert list(read_table(tables.write(table(ALL)).encode()).values()) == ALL


def test_published_tables_are_taken_as_they_are() -> None:
    raw = (
        "country_iso2,country_code,prefix_e164_digits,mno,source\n"
        "KE,254,25474,Airtel,project-table:0740-0756\nKE,254,25474,Safaricom,libphonenumber-9.0.43\n"
    )
    assert list(read_table(raw.encode()).values()) == [CURATED, CARRIER]
    short = "country_iso2,prefix_e164_digits,mno\nke,+254747,JTL\n"
    assert list(read_table(short.encode()).values()) == [NARROW]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("XX,254,25471,A,curated", "ISO 3166"),
        ("KE,255,25471,A,curated", "254"),
        ("KE,254,25571,A,curated", "begins with 254"),
        ("KE,254,0712,A,curated", "begins with 254"),
        ("KE,254,25471x,A,curated", "begins with 254"),
        ("KE,254,25471,,curated", "name"),
        ("KE,254,25471,A,rumour", "source"),
        ("KE,254,254,A,curated", "hide"),
        ("KE,254,25470,A,curated\nKE,254,25470,B,curated", "another line"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_taken(line: str, word: str) -> None:
    raw = f"country_iso2,country_code,prefix_e164_digits,mno,source\nKE,254,254777,T,\n{line}\n"
    with pytest.raises(Refused) as refused:
        read_table(raw.encode())
    (error,) = refused.value.errors
    assert error.field == f"line {2 + len(line.splitlines())}"
    assert word in error.detail


@pytest.mark.parametrize(
    "raw", [b"", b"prefix,mno\n1,2\n", b"country_iso2,prefix_e164_digits,mno\n", b"PK\x03\x04"]
)
def test_what_is_no_registry_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused):
        read_table(raw)


def test_the_same_mno_twice_is_harmless() -> None:
    raw = "country_iso2,prefix_e164_digits,mno\nKE,254747,JTL\nKE,254747,JTL\n"
    assert list(read_table(raw.encode()).values()) == [NARROW]


def test_changes_are_what_differs_and_replacing_removes_within_its_source_only() -> None:
    now = {row.key: row for row in (CURATED, NARROW, CARRIER)}
    renamed = Prefix("25474", "curated", "KE", "Airtel Kenya", None)
    new = Prefix("25475", "curated", "KE", "Airtel", None)
    wanted = {row.key: row for row in (renamed, new)}
    assert changes(now, wanted, replace=False) == [Change(CURATED, renamed), Change(None, new)]
    removed = [Change(CURATED, renamed), Change(NARROW, None), Change(None, new)]
    assert changes(now, wanted, replace=True) == removed
    assert changes(now, now, replace=True) == []


def test_the_tiers_disagree_where_the_longest_prefixes_name_others() -> None:
    assert disagreements(ALL) == [
        Disagreement("25474", CURATED, CARRIER),
        Disagreement("254744", CURATED, HOMELAND),
    ]
    corrected = Prefix("254744", "curated", "KE", "homeland media", None)
    assert [one.prefix for one in disagreements([*ALL, corrected])] == ["25474"]
    # Where only one tier knows a prefix nobody disagrees.
    assert disagreements([Prefix("25571", "curated", "TZ", "Tigo", None), CARRIER]) == []
