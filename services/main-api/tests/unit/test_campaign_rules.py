"""A quote is a charge: whatever the text, the prices and the list, what is reserved is what expansion asks for."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.messages.campaigns import CampaignRow
from sema_common.messages.store.accepting import NewMessage
from sema_common.values.errors import Refused
from sema_common.values.ids import new_id
from sema_common.values.quiet_hours import ZONES, opens_at
from sema_common.values.templates import BadTemplate, parse_template
from sema_main_api.campaigns.rules import Cost, Pricer, Quote, Refusal
from sema_main_api.scheduler.rules import Recipient, Turns, expand, is_stuck

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

names = st.sampled_from(["name", "city", "Loyalty No"])
pieces = st.one_of(
    st.text(st.characters(exclude_characters="{}\x00", exclude_categories=["Cs"]), max_size=200),
    names.map("{{{{{}}}}}".format),
)
texts = st.lists(pieces, min_size=1, max_size=6).map("".join).filter(lambda text: text.strip())
people = st.tuples(
    st.sampled_from(["KE", "UG", "TZ"]),
    st.sampled_from([None, "Safaricom", "MTN"]),
    st.dictionaries(names, st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=90)),
)
prices = st.dictionaries(
    st.sampled_from(["KE", "UG"]), st.decimals(min_value=0, max_value=9, places=4), min_size=1
)


def row(message: str) -> CampaignRow:
    nothing: dict[str, object] = dict.fromkeys(CampaignRow.__slots__)
    ids = {name: new_id() for name in ("id", "tenant_id", "account_id", "billing_account_id")}
    known = {"message": message, "sender": "SEMALINK", "test": False, "currency": "KES"}
    return CampaignRow(**(nothing | ids | known))  # type: ignore[arg-type]


def no_emoji(country: str, encoding: str) -> Refused | None:
    if country == "KE" and encoding == "UCS-2":
        return Refused("unsupported_type", "No route to KE can carry UCS-2 text.")
    return None


def cost_of(price: Decimal | None) -> Cost | None:
    """An agent's customer: his agent is charged a little less."""
    return None if price is None else Cost(price, price - price / 4)


@given(texts, st.sampled_from(["empty", "skip"]), prices, st.lists(people, max_size=12))
def test_the_quote_of_a_list_is_the_sum_of_what_its_messages_cost(
    text: str,
    on_missing: str,
    tariff: dict[str, Decimal],
    recipients: list[tuple[str, str | None, dict[str, str]]],
) -> None:
    template = parse_template(text)
    pricer = Pricer(template, on_missing, lambda country, _: cost_of(tariff.get(country)), no_emoji)
    quote, owed, charged, messages = Quote(), Decimal(0), Decimal(0), 0
    for seq, (country, mno, values) in enumerate(recipients, 1):
        priced = pricer.price(country, mno, values)
        quote.add(priced)
        if isinstance(priced, Refusal):
            continue
        fixed = pricer.prices[country][mno or ""]
        recipient = Recipient(seq, "+254712345678", country, mno, values, fixed.own, fixed.charged)
        made = expand(row(text), template, recipient, _allowed)
        assert isinstance(made, NewMessage)
        assert (made.cost, made.charged) == (priced.own, priced.charged)
        assert 1 <= made.segments <= 10
        assert made.body.strip()
        owed += made.cost
        charged += made.charged
        messages += 1
    assert (quote.total, quote.held) == (owed, charged)
    assert quote.contacts - quote.refused == messages


def _allowed(_: str) -> list[dict[str, str]]:
    return []


def test_who_is_refused_at_expansion_costs_nothing() -> None:
    recipient = Recipient(1, "+254712345678", "KE", None, {}, Decimal(1))
    reasons = [{"check": "blocklist", "detail": "contains the blocked word 'x'"}]
    refused = expand(row("x"), parse_template("x"), recipient, lambda _: reasons)
    assert refused == {"code": "content_rejected", "detail": "contains the blocked word 'x'"}


@pytest.mark.parametrize("text", ["{{", "}}", "a {{b", "{{}}", "{{a{b}}", "{{" + "x" * 65 + "}}"])
def test_braces_that_are_no_merge_field_are_refused(text: str) -> None:
    with pytest.raises(BadTemplate):
        parse_template(text)


def test_a_value_is_never_read_as_a_template() -> None:
    assert parse_template("Hi {{ name }}!").render({"name": "{{city}}", "city": "no"}) == "Hi {{city}}!"


def test_accounts_share_by_their_weight_and_a_newcomer_is_next() -> None:
    starter, enterprise, late = UUID(int=1), UUID(int=2), UUID(int=3)
    turns, given = Turns(), dict.fromkeys((starter, enterprise, late), 0)
    tiers = {starter: "starter", enterprise: "enterprise", late: "starter"}
    turns.keep([starter, enterprise])
    for _ in range(50):
        account = turns.next([starter, enterprise])
        turns.gave(account, 500, tiers[account])
        given[account] += 500
    assert given[enterprise] == 4 * given[starter]
    turns.keep([starter, enterprise, late])
    assert turns.next([starter, enterprise, late]) == late
    turns.gave(late, 500, "starter")
    assert turns.next([starter, enterprise, late]) != late


@pytest.mark.parametrize(
    ("country", "hour_utc", "opens"),
    [
        ("KE", 9, None),
        ("KE", 4, 5),
        ("KE", 15, 29),
        ("NG", 16, None),
        ("NG", 17, 31),
        ("CD", 16, 31),
        ("CD", 6, 7),
    ],
)
def test_quiet_hours_are_those_of_the_recipients_country(
    country: str, hour_utc: int, opens: int | None
) -> None:
    midnight = datetime(2026, 11, 20, tzinfo=UTC)
    found = opens_at(country, midnight + timedelta(hours=hour_utc))
    assert found == (None if opens is None else midnight + timedelta(hours=opens))


@given(st.sampled_from(sorted(ZONES)), st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)))  # noqa: DTZ001
def test_when_it_opens_it_is_open(country: str, naive: datetime) -> None:
    moment = naive.replace(tzinfo=UTC)
    opens = opens_at(country, moment)
    assert opens is None or (opens > moment and opens_at(country, opens) is None)


@pytest.mark.parametrize(
    ("status", "expanded", "waits", "still", "stuck"),
    [
        ("sending", False, None, 11, True),
        ("sending", False, None, 9, False),
        ("sending", True, None, 60, False),
        ("sending", True, None, 26 * 60, True),
        ("sending", False, 60, 300, False),
        ("scheduled", False, -20, 300, True),
        ("scheduled", False, -5, 300, False),
    ],
)
def test_a_campaign_is_stuck_when_it_should_have_moved(
    status: str, expanded: bool, waits: int | None, still: int, stuck: bool
) -> None:
    until = None if waits is None else NOW + timedelta(minutes=waits)
    assert is_stuck(status, expanded, until, timedelta(minutes=still), NOW) is stuck
