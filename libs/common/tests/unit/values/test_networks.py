"""The MNO registry: the team's rows win, carrier data answers where they are silent."""

import csv
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.values.msisdn import AFRICAN_COUNTRIES, Msisdn
from sema_common.values.networks import MnoRow, MnoTable, Network

SEED = Path(__file__).parents[5] / "deploy/migrations/sql/0002_core_mno_prefixes.sql"


def _seed() -> list[tuple[str, ...]]:
    values = re.findall(r"^    \((.*)\)[,;]$", SEED.read_text("utf-8"), re.MULTILINE)
    return [tuple(row) for row in csv.reader(values, quotechar="'", skipinitialspace=True)]


def _table(*rows: tuple[str, str, str]) -> MnoTable:
    return MnoTable(MnoRow(prefix, "KE", mno, source) for prefix, mno, source in rows)  # type: ignore[arg-type]


def test_the_longest_prefix_wins_within_a_tier() -> None:
    table = _table(("25474", "Airtel", "curated"), ("254744", "Homeland", "curated"))
    assert table.lookup(Msisdn("+254744000000")) == Network("KE", "Homeland", 1)
    assert table.lookup(Msisdn("+254745000000")) == Network("KE", "Airtel", 1)


def test_a_curated_row_wins_over_longer_carrier_data() -> None:
    table = _table(("25474", "Airtel", "curated"), ("254744", "Homeland", "libphonenumber"))
    assert table.lookup(Msisdn("+254744000000")) == Network("KE", "Airtel", 1)


def test_carrier_data_answers_where_no_curated_row_matches() -> None:
    table = _table(("254744", "Airtel", "curated"), ("25473", "Airtel Kenya", "libphonenumber"))
    assert table.lookup(Msisdn("+254733000000")) == Network("KE", "Airtel Kenya", 2)
    assert table.lookup(Msisdn("+254722000000")) is None


def test_one_source_naming_two_mnos_for_a_prefix_is_refused() -> None:
    with pytest.raises(ValueError, match="25474"):
        _table(("25474", "Airtel", "curated"), ("25474", "Safaricom", "curated"))
    assert len(_table(("25474", "Airtel", "curated"), ("25474", "Airtel", "curated"))) == 1


@given(
    st.dictionaries(st.text("0123", min_size=1, max_size=5), st.sampled_from("AB"), max_size=20),
    st.dictionaries(st.text("0123", min_size=1, max_size=5), st.sampled_from("AB"), max_size=20),
    st.text("0123", max_size=6),
)
def test_lookup_is_the_definition(curated: dict[str, str], carrier: dict[str, str], digits: str) -> None:
    table = _table(
        *((prefix, mno, "curated") for prefix, mno in curated.items()),
        *((prefix, mno, "libphonenumber") for prefix, mno in carrier.items()),
    )
    expected = None
    for tier, rows in ((2, carrier), (1, curated)):
        matches = [prefix for prefix in rows if digits.startswith(prefix)]
        if matches:
            expected = (rows[max(matches, key=len)], tier)
    found = table.lookup(Msisdn("+" + digits))
    assert (found and (found.mno, found.tier)) == expected


def test_the_seed_holds_the_teams_table_exactly() -> None:
    curated = {(prefix, mno, note) for _, _, prefix, mno, source, note in _seed() if source == "curated"}
    ranges = {
        ("0700-0729", "Safaricom"): ["25470", "25471", "25472"],
        ("0757-0759", "Safaricom"): ["254757", "254758", "254759"],
        ("0740-0756", "Airtel"): ["25474", *(f"25475{digit}" for digit in range(7))],
        ("0768-0769", "Airtel"): ["254768", "254769"],
        ("0790-0799", "Airtel"): ["25479"],
        ("0110-0119", "Airtel"): ["25411"],
    }
    assert curated == {(prefix, mno, note) for (note, mno), prefixes in ranges.items() for prefix in prefixes}


def test_the_seed_covers_the_54_countries_and_loads() -> None:
    rows = _seed()
    assert len(rows) == len({(row[2], row[4]) for row in rows}) == 982
    carrier = [row for row in rows if row[4] == "libphonenumber"]
    assert len(carrier) == 964
    assert {row[0]: row[1] for row in carrier} == AFRICAN_COUNTRIES
    assert all(prefix.startswith(code) for _, code, prefix, *_ in rows)
    table = MnoTable(MnoRow(prefix, country, mno, source) for country, _, prefix, mno, source, _ in rows)  # type: ignore[arg-type]
    assert table.lookup(Msisdn("+254712345678")) == Network("KE", "Safaricom", 1)
    assert table.lookup(Msisdn("+254733000000")) == Network("KE", "Airtel", 2)
    assert table.lookup(Msisdn("+254799000000")) == Network("KE", "Airtel", 1)
    assert table.lookup(Msisdn("+2348031234567")) == Network("NG", "MTN", 2)
    assert len(table) == 982
