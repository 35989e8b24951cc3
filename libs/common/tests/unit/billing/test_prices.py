"""Which row decides a price, and what a text costs."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.billing.prices import Price, PriceList, PriceRow, Rate, RetailRow
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
DIRECT = replace(COUNTRY, id=13, account_type="direct", price=Decimal("0.9500"))
MANY = replace(COUNTRY, id=14, min_segments=1000, price=Decimal("0.7000"))
MORE = replace(COUNTRY, id=15, min_segments=5000, price=Decimal("0.6500"))
DOLLARS = replace(COUNTRY, id=11, currency="USD")
UGANDA = replace(COUNTRY, id=12, country="UG")


@dataclass(frozen=True)
class Buyer:
    """A direct account of our own, unless something else is said."""

    account_id: UUID = OURS
    billing_account_id: UUID = OURS
    account_type: str = "direct"
    tier: str = "growth"
    currency: str = "KES"


def decide(*rows: PriceRow, mno: str | None = "Safaricom", volume: int = 0) -> int | None:
    rate = PriceList(rows, volumes={OURS: volume}).rate(Buyer(), "KE", mno, AT)
    return None if rate is None else rate.price.row_id


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
        ([COUNTRY, DIRECT], DIRECT),
        ([COUNTRY, replace(DIRECT, account_type="agent")], COUNTRY),
        ([DIRECT, TIER], TIER),
        ([COUNTRY, MANY], COUNTRY),
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
        rate = prices.rate(Buyer(), "KE", None, moment)
        return rate.price if rate else None

    assert at(AT) is None
    assert at(AT - timedelta(microseconds=1)) is not None
    assert at(COUNTRY.valid_from) is not None
    assert at(COUNTRY.valid_from - timedelta(microseconds=1)) is None


def test_an_account_is_shown_where_its_own_rows_and_the_common_ones_lead() -> None:
    rows = [COUNTRY, MNO, replace(MNO, mno="Airtel", account_id=THEIRS), FUTURE, DOLLARS, UGANDA]
    assert PriceList(rows).destinations(Buyer(), AT) == [("KE", "*"), ("KE", "Safaricom"), ("UG", "*")]


def test_a_volume_decides_from_its_first_segment_on() -> None:
    rows = (COUNTRY, MANY, MORE)
    decided = [decide(*rows, volume=volume) for volume in (0, 999, 1000, 4999, 5000, 10**9)]
    assert decided == [COUNTRY.id, COUNTRY.id, MANY.id, MANY.id, MORE.id, MORE.id]


def test_the_rungs_of_a_price_are_what_each_volume_pays() -> None:
    rungs = PriceList([COUNTRY, MANY, MORE, replace(MORE, id=16, account_type="agent")]).rungs(
        Buyer(), "KE", None, AT
    )
    assert [(volume, price.row_id) for volume, price in rungs] == [(0, 1), (1000, 14), (5000, 15)]


def test_the_rule_is_said_in_words() -> None:
    def rule(row: PriceRow) -> str:
        rate = PriceList([row], volumes={OURS: 9000}).rate(Buyer(), "KE", "Safaricom", AT)
        assert rate is not None
        return rate.price.rule

    assert rule(COUNTRY) == "list price, KE"
    assert rule(ACCOUNT_MNO) == "own price, KE Safaricom"
    assert rule(replace(MNO_TIER, account_type="direct", min_segments=5000)) == (
        "list price, tier growth, direct accounts, KE Safaricom, from 5000 segments a month"
    )


AGENT = new_id()
CUSTOMER = Buyer(billing_account_id=AGENT, account_type="agent_customer")
WHOLESALE = replace(COUNTRY, id=20, account_type="agent", price=Decimal("0.5000"))
FOR_ALL = RetailRow(1, AGENT, None, "KE", "*", "KES", Decimal("0.7000"), AT - DAY, None)
FOR_HIM = replace(FOR_ALL, id=2, customer_id=OURS, price=Decimal("0.9000"))
FOR_HIM_MNO = replace(FOR_HIM, id=3, mno="Safaricom", price=Decimal("0.8500"))
OF_ANOTHER_AGENT = replace(FOR_HIM_MNO, id=4, agent_id=THEIRS)
FOR_ANOTHER = replace(FOR_HIM_MNO, id=5, customer_id=THEIRS)


def sold(
    *retail: RetailRow, rows: tuple[PriceRow, ...] = (COUNTRY, WHOLESALE), volume: int = 0
) -> Rate | None:
    prices = PriceList(rows, retail, {AGENT: "growth"}, {AGENT: volume})
    return prices.rate(CUSTOMER, "KE", "Safaricom", AT)


@pytest.mark.parametrize(
    ("retail", "price"),
    [
        ([FOR_ALL, FOR_HIM, FOR_HIM_MNO], "0.8500"),
        ([FOR_ALL, FOR_HIM], "0.9000"),
        ([FOR_ALL, OF_ANOTHER_AGENT, FOR_ANOTHER], "0.7000"),
        ([replace(FOR_HIM, valid_to=AT), FOR_ALL], "0.7000"),
        ([], "1.0000"),
    ],
)
def test_an_agents_customer_pays_retail_and_his_agent_wholesale(retail: list[RetailRow], price: str) -> None:
    rate = sold(*retail)
    assert rate is not None
    assert rate.wholesale is not None
    assert (rate.price.per_segment, rate.wholesale.per_segment) == (Decimal(price), Decimal("0.5000"))
    assert "0.5" not in rate.price.rule, "what his agent pays is not for the customer to read"


def test_a_customer_without_a_rate_pays_no_less_than_his_agent() -> None:
    rate = sold(rows=(replace(COUNTRY, price=Decimal("0.4000")), WHOLESALE))
    assert rate is not None
    assert rate.price.per_segment == Decimal("0.5000")


def test_an_agents_price_goes_by_what_all_his_customers_send() -> None:
    cheaper = replace(WHOLESALE, id=21, min_segments=1000, price=Decimal("0.4000"))
    rate = sold(FOR_ALL, rows=(COUNTRY, WHOLESALE, cheaper), volume=1000)
    assert rate is not None
    assert rate.wholesale is not None
    assert (rate.price.per_segment, rate.wholesale.row_id) == (FOR_ALL.price, cheaper.id)


def test_where_the_agent_has_no_price_his_customers_have_none() -> None:
    assert sold(FOR_HIM, rows=(replace(COUNTRY, account_type="direct"),)) is None


PRICES = st.decimals(0, 1000, places=4)


@given(PRICES, st.integers(1, 10), st.integers(1, 10))
def test_the_cost_grows_with_the_segments_and_adds_up(per_segment: Decimal, a: int, b: int) -> None:
    price = Price(per_segment, "KES", 1, "list price", AT)
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
    account_type=st.sampled_from([None, "direct", "agent"]),
    min_segments=st.sampled_from([0, 1000, 5000]),
)
VOLUME = 1000


@given(st.lists(ROWS, max_size=12, unique_by=lambda row: row.id), st.sampled_from([None, "Safaricom"]))
def test_no_applicable_row_is_more_specific_than_the_one_that_decides(
    rows: list[PriceRow], mno: str | None
) -> None:
    def applies(row: PriceRow) -> bool:
        return (
            row.account_id in (None, OURS)
            and row.tier in (None, "growth")
            and row.account_type in (None, "direct")
            and row.min_segments <= VOLUME
            and (row.country, row.currency) == ("KE", "KES")
            and row.mno in ("*", mno)
            and row.valid_from <= AT
            and (row.valid_to is None or row.valid_to > AT)
        )

    def specific(row: PriceRow) -> tuple[bool, bool, bool, bool, int, datetime]:
        return (
            row.account_id is not None,
            row.mno != "*",
            row.tier is not None,
            row.account_type is not None,
            row.min_segments,
            row.valid_from,
        )

    decided = decide(*rows, mno=mno, volume=VOLUME)
    candidates = {row.id: row for row in rows if applies(row)}
    assert (decided is None) == (not candidates)
    if decided is not None:
        assert specific(candidates[decided]) == max(map(specific, candidates.values()))
