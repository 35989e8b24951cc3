"""Which row decides a price, and what a text costs."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.billing.prices import Price, PriceList, PriceRow
from sema_common.values.ids import new_id

AT = datetime(2026, 11, 20, tzinfo=UTC)
DAY = timedelta(days=1)
OURS, THEIRS = new_id(), new_id()

COUNTRY = PriceRow(1, None, None, "KE", "*", "KES", Decimal("1.0000"), AT - 9 * DAY, None)
MNO = replace(COUNTRY, id=2, mno="Safaricom", price=Decimal("0.8000"))
TIER = replace(COUNTRY, id=3, tier="growth", price=Decimal("0.9000"))
MNO_TIER = replace(MNO, id=4, tier="growth", price=Decimal("0.7000"))
ACCOUNT = replace(COUNTRY, id=5, account_id=OURS, price=Decimal("0.6000"))
ACCOUNT_MNO = replace(MNO, id=6, account_id=OURS, price=Decimal("0.5000"))
THEIR_ROW = replace(MNO, id=7, account_id=THEIRS, price=Decimal("0.1000"))
YOUNGER = replace(COUNTRY, id=8, price=Decimal("1.2000"), valid_from=AT - DAY)
FUTURE = replace(COUNTRY, id=9, price=Decimal("9"), valid_from=AT + DAY)
OVER = replace(ACCOUNT_MNO, id=10, valid_to=AT)
DOLLARS = replace(COUNTRY, id=11, currency="USD")
UGANDA = replace(COUNTRY, id=12, country="UG")


def decide(*rows: PriceRow, mno: str | None = "Safaricom") -> int | None:
    price = PriceList(rows).price(
        account_id=OURS, tier="growth", country="KE", mno=mno, currency="KES", at=AT
    )
    return None if price is None else price.row_id


@pytest.mark.parametrize(
    ("rows", "winner"),
    [
        ([COUNTRY], COUNTRY),
        ([COUNTRY, MNO], MNO),
        ([COUNTRY, TIER], TIER),
        ([COUNTRY, TIER, MNO], MNO),
        ([TIER, MNO, MNO_TIER], MNO_TIER),
        ([MNO_TIER, ACCOUNT], ACCOUNT),
        ([ACCOUNT, ACCOUNT_MNO], ACCOUNT_MNO),
        ([COUNTRY, THEIR_ROW], COUNTRY),
        ([COUNTRY, YOUNGER], YOUNGER),
        ([COUNTRY, FUTURE], COUNTRY),
        ([COUNTRY, OVER], COUNTRY),
        ([COUNTRY, replace(TIER, tier="starter")], COUNTRY),
    ],
)
def test_the_most_specific_row_in_force_decides(rows: list[PriceRow], winner: PriceRow) -> None:
    assert decide(*rows) == decide(*reversed(rows)) == winner.id


@pytest.mark.parametrize("rows", [[], [FUTURE], [OVER], [DOLLARS], [UGANDA], [THEIR_ROW]])
def test_without_a_row_a_country_is_not_served(rows: list[PriceRow]) -> None:
    assert decide(*rows) is None


def test_an_unknown_network_pays_the_countrys_price() -> None:
    assert decide(MNO, COUNTRY, mno=None) == decide(MNO, COUNTRY, mno="Airtel") == COUNTRY.id
    assert decide(MNO, mno=None) is None


def test_the_last_moment_of_a_row_is_before_its_end() -> None:
    prices = PriceList([replace(COUNTRY, valid_to=AT)])

    def at(moment: datetime) -> Price | None:
        return prices.price(account_id=OURS, tier="growth", country="KE", mno=None, currency="KES", at=moment)

    assert at(AT) is None
    assert at(AT - timedelta(microseconds=1)) is not None
    assert at(COUNTRY.valid_from) is not None
    assert at(COUNTRY.valid_from - timedelta(microseconds=1)) is None


def test_an_account_is_shown_its_own_rows_and_the_common_ones() -> None:
    rows = [COUNTRY, TIER, replace(TIER, tier="starter"), ACCOUNT, THEIR_ROW, FUTURE, OVER, DOLLARS, UGANDA]
    shown = PriceList(rows).rows_for(account_id=OURS, tier="growth", currency="KES", at=AT)
    assert [row.id for row in shown] == [ACCOUNT.id, TIER.id, COUNTRY.id, UGANDA.id]


PRICES = st.decimals(0, 1000, places=4)


@given(PRICES, st.integers(1, 10), st.integers(1, 10))
def test_the_cost_grows_with_the_segments_and_adds_up(per_segment: Decimal, a: int, b: int) -> None:
    price = Price(per_segment, "KES", 1)
    assert price.of(a) == per_segment * a, "a price has 4 places: nothing is ever rounded away"
    assert price.of(a + b) == price.of(a) + price.of(b)
    assert price.of(a).as_tuple().exponent == -4


ROWS = st.builds(
    PriceRow,
    id=st.integers(1, 10_000),
    account_id=st.sampled_from([None, OURS, THEIRS]),
    tier=st.sampled_from([None, "starter", "growth"]),
    country=st.sampled_from(["KE", "UG"]),
    mno=st.sampled_from(["*", "Safaricom", "Airtel"]),
    currency=st.sampled_from(["KES", "USD"]),
    price=PRICES,
    valid_from=st.integers(-5, 5).map(lambda days: AT + days * DAY),
    valid_to=st.sampled_from([None, AT, AT + DAY]),
)


@given(st.lists(ROWS, max_size=12, unique_by=lambda row: row.id), st.sampled_from([None, "Safaricom"]))
def test_no_applicable_row_is_more_specific_than_the_one_that_decides(
    rows: list[PriceRow], mno: str | None
) -> None:
    def applies(row: PriceRow) -> bool:
        return (
            row.account_id in (None, OURS)
            and row.tier in (None, "growth")
            and (row.country, row.currency) == ("KE", "KES")
            and row.mno in ("*", mno)
            and row.valid_from <= AT
            and (row.valid_to is None or row.valid_to > AT)
        )

    def specific(row: PriceRow) -> tuple[bool, bool, bool, datetime]:
        return row.account_id is not None, row.mno != "*", row.tier is not None, row.valid_from

    decided = decide(*rows, mno=mno)
    candidates = {row.id: row for row in rows if applies(row)}
    assert (decided is None) == (not candidates)
    if decided is not None:
        assert specific(candidates[decided]) == max(map(specific, candidates.values()))
