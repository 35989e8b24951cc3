"""What may be accepted at what price, and who fits his balance: the rules of messaging, without any store."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_aggregators import Celcom, TestMode
from sema_common.billing.ledger import Balance
from sema_common.billing.prices import PriceList, PriceRow
from sema_common.messages.store.accepting import NewMessage
from sema_common.messages.store.idempotency import KeptResponse
from sema_common.values.errors import Refused
from sema_common.values.ids import id_time, new_id
from sema_common.values.networks import MnoRow, MnoTable
from sema_common.values.senders import SenderRule
from sema_content_checker import Judge, Rule, RuleSet
from sema_main_api.messaging.rules.admission import Reference, admit, quote
from sema_main_api.messaging.rules.crediting import Answer, Key, Submission, decide
from sema_main_api.messaging.schemas import SendRequest

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
ACCOUNT = UUID("01a1fbbb-1f5f-7376-b431-bb9c1ef86034")


@dataclass(frozen=True)
class Customer:
    account_id: UUID = ACCOUNT
    tenant_id: UUID = ACCOUNT
    billing_account_id: UUID = ACCOUNT
    account_type: str = "direct"
    mode: str = "live"
    tier: str = "starter"
    currency: str = "KES"


KENYA = SenderRule(needs_registration=True, allows_alphanumeric=True, allows_numeric=False)
REGISTERED = SenderRule(needs_registration=True, allows_alphanumeric=True, allows_numeric=True)


def price(country: str, mno: str, amount: str, **more: Any) -> PriceRow:
    row = {"account_id": None, "tier": None, "valid_from": NOW - timedelta(days=1), "valid_to": None, **more}
    return PriceRow(id=1, country=country, mno=mno, currency="KES", price=Decimal(amount), **row)


def reference(*, ucs2: bool = True, prices: tuple[PriceRow, ...] = ()) -> Reference:
    return Reference(
        prices=PriceList(
            prices or (price("KE", "Safaricom", "0.8"), price("KE", "*", "1"), price("UG", "*", "3.5"))
        ),
        networks=MnoTable(
            [MnoRow("25471", "KE", "Safaricom", "curated"), MnoRow("25677", "UG", "MTN", "curated")]
        ),
        content=Judge(RuleSet("1", [Rule("word", "forbidden")])),
        live_routes=[Celcom(ucs2=ucs2, countries=frozenset({"KE"})).capabilities],
        test_routes=[TestMode().capabilities],
        sender_rules={"KE": KENYA, "UG": REGISTERED},
    )


def request(**changes: Any) -> SendRequest:
    return SendRequest.model_validate(
        {"to": "+254712345678", "from": "SEMALINK", "body": "Habari", **changes}
    )


def admitted(wanted: SendRequest, customer: Customer | None = None, **more: Any) -> NewMessage:
    return admit(
        wanted, customer or Customer(), reference(**more), {"SEMALINK": frozenset({"KE", "UG"})}, NOW
    )


def test_a_message_is_priced_by_its_network_and_segments_and_lives_a_day() -> None:
    message = admitted(request(body="a" * 161))
    assert (message.mno, message.segments, message.cost) == ("Safaricom", 2, Decimal("1.6000"))
    assert message.enqueued_at == id_time(message.message_id)
    assert message.valid_until - message.enqueued_at == timedelta(days=1)
    otp = admitted(request(lane="priority"))
    assert otp.valid_until - otp.enqueued_at == timedelta(minutes=5)
    short = admitted(request(validity_seconds=60))
    assert short.valid_until - short.enqueued_at == timedelta(minutes=1)


def test_a_test_key_pays_nothing_and_reaches_every_priced_country() -> None:
    customer = Customer(mode="test")
    assert admitted(request(), customer).cost == 0
    assert admitted(request(to="+256772345678", type="FLASH_SMS"), customer).test


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"to": "0712345678"}, "invalid_phone_number", "to"),
        ({"to": "+25471234567812345"}, "invalid_phone_number", "to"),
        ({"to": "+254712FLOWER"}, "invalid_phone_number", "to"),
        ({"to": "+447911123456"}, "unsupported_destination", "to"),
        ({"to": "+27821234567"}, "unsupported_destination", "to"),
        ({"to": "+256772345678"}, "unsupported_destination", "to"),
        ({"to": "+254733345678"}, "unsupported_destination", "to"),
        ({"type": "FLASH_SMS"}, "unsupported_type", None),
        ({"body": " \n "}, "validation_failed", "body"),
        ({"body": "a" * 1531}, "validation_failed", "body"),
        ({"from": "OTHER"}, "sender_id_not_approved", None),
        ({"from": "semalink"}, "sender_id_not_approved", None),
        ({"from": "TWELVELETTER"}, "validation_failed", "from"),
        ({"from": "SЕMALINK"}, "validation_failed", "from"),
        ({"from": "SEMA\u200bLINK"}, "validation_failed", "from"),
        ({"body": "this is f\u200borbidden here"}, "content_rejected", None),
    ],
)
def test_what_may_not_be_sent_is_refused_by_name(
    changes: dict[str, Any], code: str, field: str | None
) -> None:
    with pytest.raises(Refused) as caught:
        admitted(request(**changes))
    assert caught.value.code == code
    assert [error.field for error in caught.value.errors] == ([field] if field else [])


def test_a_refusal_for_content_names_its_reasons_and_a_long_text_its_count() -> None:
    with pytest.raises(Refused) as caught:
        admitted(request(body="forbidden"))
    assert [reason["check"] for reason in caught.value.extra["reasons"]] == ["blocklist"]
    with pytest.raises(Refused, match="11 segments"):
        admitted(request(body="a" * 1531))


def test_ucs2_goes_where_a_route_can_carry_it() -> None:
    assert admitted(request(body="Habari 😀")).encoding == "UCS-2"
    with pytest.raises(Refused, match="unsupported_type"):
        admitted(request(body="Habari 😀"), ucs2=False)


@pytest.mark.parametrize(
    ("sender", "approved", "code"),
    [
        ("ACME", {"ACME": frozenset({"UG"})}, "not_registered_in_country"),
        ("20414", {"20414": frozenset({"KE"})}, "numeric_not_allowed"),
    ],
)
def test_a_sender_is_used_where_it_is_registered_and_the_country_takes_it(
    sender: str, approved: dict[str, frozenset[str]], code: str
) -> None:
    """OWASP API6:2023."""
    with pytest.raises(Refused) as caught:
        admit(request(**{"from": sender}), Customer(), reference(), approved, NOW)
    refused = caught.value
    assert (refused.status, refused.code, refused.errors[0].code) == (403, "sender_id_not_approved", code)


def test_an_estimate_needs_no_sender_and_says_what_the_charge_will_be() -> None:
    wanted = request(**{"from": "ANYONE"})
    assert quote(wanted, Customer(), reference(), NOW).cost == admitted(request()).cost


def test_the_most_specific_price_in_force_decides() -> None:
    rows = (
        price("KE", "Safaricom", "0.8"),
        price("KE", "*", "0.5", account_id=ACCOUNT),
        price("KE", "*", "0.1", account_id=ACCOUNT, valid_to=NOW),
        price("KE", "Safaricom", "0.2", tier="growth"),
    )
    assert admitted(request(), prices=rows).cost == Decimal("0.5000")
    other = Customer(account_id=new_id(), tier="growth")
    assert admitted(request(), other, prices=rows).cost == Decimal("0.2000")


# ---- who fits


@cache
def one_admitted() -> NewMessage:
    """Made once: judging a text anew for each example would be most of a test of arithmetic."""
    return admitted(request())


def message(cost: Decimal) -> NewMessage:
    wanted = one_admitted()
    return NewMessage(
        **{**{name: getattr(wanted, name) for name in wanted.__slots__}, "message_id": new_id(), "cost": cost}
    )


def submission(messages: list[NewMessage], key: Key | None = None, batch: bool = False) -> Submission:
    respond: Callable[[Any], dict[str, Any]] = lambda unpaid: {"refused": len(unpaid)}  # noqa: E731
    return Submission(Customer(), messages, respond, key, batch)


def balances(available: str, limit: str = "0") -> dict[UUID, Balance]:
    return {ACCOUNT: Balance(ACCOUNT, ACCOUNT, "KES", Decimal(available), Decimal(limit))}


costs = st.decimals(min_value=0, max_value=5, places=4)


@given(st.lists(st.lists(costs, min_size=1, max_size=4), max_size=12), costs, costs)
def test_no_history_ever_goes_below_the_limit_and_each_balance_after_follows_from_the_last(
    histories: list[list[Decimal]], balance: Decimal, limit: Decimal
) -> None:
    submissions = [submission([message(cost) for cost in each], batch=len(each) > 1) for each in histories]
    decided = decide(submissions, balances(str(balance), str(limit)), {}, NOW, {})
    left = balance
    for charge in decided.charges:
        left -= charge.cost
        assert charge.balance_after == left
        assert left + limit >= 0
    assert [m.message_id for m in decided.accepted] == [charge.message_id for charge in decided.charges]
    assert len(decided.answers) == len(submissions)
    refused = sum(isinstance(answer, Refused) for answer in decided.answers)
    refused += sum(answer.body["refused"] for answer in decided.answers if isinstance(answer, Answer))
    assert len(decided.charges) + refused == sum(map(len, histories))


def test_a_small_message_passes_behind_a_large_one_that_did_not_fit() -> None:
    decided = decide(
        [submission([message(Decimal(9))]), submission([message(Decimal(1))])], balances("5"), {}, NOW, {}
    )
    assert [type(answer) for answer in decided.answers] == [Refused, Answer]


def test_equal_keys_in_one_gathering_are_caught_in_memory() -> None:
    key, other = Key("h", b"same"), Key("h", b"different")
    one = [submission([message(Decimal(1))], k) for k in (key, key, other)]
    decided = decide(one, balances("10"), {}, NOW, {})
    first, second, third = decided.answers
    assert isinstance(first, Answer)
    assert second == Answer(first.body, replayed=True)
    assert isinstance(third, Refused)
    assert third.code == "idempotency_key_reused"
    assert len(decided.charges) == len(decided.kept) == 1


def test_a_refused_call_frees_its_key_for_the_next_one_in_the_same_gathering() -> None:
    key = Key("h", b"same")
    one = [submission([message(Decimal(9))], key), submission([message(Decimal(1))], key)]
    decided = decide(one, balances("5"), {}, NOW, {})
    assert [type(answer) for answer in decided.answers] == [Refused, Answer]


def test_what_was_kept_before_is_replayed_without_a_charge() -> None:
    kept = KeptResponse("h", ACCOUNT, ACCOUNT, "message", new_id(), b"f", 202, {"id": "x"}, NOW)
    decided = decide([submission([message(Decimal(1))], Key("h", b"f"))], balances("0"), {"h": kept}, NOW, {})
    assert decided.answers == [Answer({"id": "x"}, replayed=True)]
    assert decided.charges == []


@pytest.mark.parametrize(
    ("scope", "lane", "passes"),
    [("promotional", "normal", False), ("promotional", "priority", True), ("all", "priority", False)],
)
def test_an_opt_out_is_refused_before_it_is_charged(scope: str, lane: str, passes: bool) -> None:
    wanted = admitted(request(lane=lane))
    opted_out = {(wanted.account_id, str(wanted.to)): scope, (new_id(), str(wanted.to)): "all"}
    decided = decide([submission([wanted])], balances("5"), {}, NOW, opted_out)
    [answer] = decided.answers
    if passes:
        assert isinstance(answer, Answer)
        return
    assert isinstance(answer, Refused)
    assert (answer.code, answer.status) == ("recipient_suppressed", 422)
    assert decided.charges == [] == decided.accepted
