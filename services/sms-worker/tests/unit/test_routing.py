"""Where a message goes, why, and what it was kept from."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_aggregators import Capabilities
from sema_common.values.ids import new_id
from sema_common.wire.sms import SmsJob
from sema_sms_worker.rules.routing import (
    FINE,
    AccountRule,
    Choice,
    NoRoute,
    Route,
    Standing,
    Table,
    bonded,
    choose,
    is_bound,
    refused_before,
)

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
ACCOUNT = UUID(int=1)
PLAIN = Capabilities(max_bulk=20, flash=False, ucs2=False, countries=frozenset({"KE"}))
ABLE = Capabilities(max_bulk=1, flash=True, ucs2=True, countries=None)
ROUTES = (Route("celcom", PLAIN), Route("africastalking", ABLE))
DOWN = Standing("shut", "failing")


def job(**changes: Any) -> SmsJob:
    fields: dict[str, Any] = {
        "message_id": new_id(NOW),
        "account_id": ACCOUNT,
        "tenant_id": ACCOUNT,
        "billing_account_id": ACCOUNT,
        "to": "+254712345678",
        "sender": "SEMALINK",
        "body": "hello",
        "lane": "normal",
        "encoding": "GSM-7",
        "segments": 1,
        "cost": Decimal("0.8"),
        "currency": "KES",
        "country": "KE",
        "mno": "Safaricom",
        "created_at": NOW,
        "queued_at": NOW,
        "valid_until": NOW + timedelta(hours=1),
    }
    return SmsJob.model_validate(fields | changes)


def pick(
    wanted: SmsJob,
    *,
    rule: AccountRule | None = None,
    routes: tuple[Route, ...] = ROUTES,
    failed: frozenset[str] = frozenset(),
    **standing: Standing,
) -> Choice | NoRoute:
    def health(aggregator: str, mno: str | None) -> Standing:
        return standing.get(f"{aggregator}_{mno}", standing.get(aggregator, FINE))

    return choose(wanted, Table(routes, {ACCOUNT: rule} if rule else {}), health, failed)


def test_the_first_of_the_order_has_it() -> None:
    assert pick(job()) == Choice("celcom", "primary")


@pytest.mark.parametrize("why", ["failing", "asked_to_wait", "account"])
def test_what_is_shut_is_passed_over_for_the_next(why: Any) -> None:
    assert pick(job(), celcom=Standing("shut", why)) == Choice(
        "africastalking", "fallback", (("celcom", why),)
    )


@pytest.mark.parametrize(
    "changes", [{"kind": "FLASH_SMS"}, {"encoding": "UCS-2"}, {"country": "UG", "to": "+256712345678"}]
)
def test_it_goes_only_where_it_can_be_carried(changes: dict[str, Any]) -> None:
    assert pick(job(**changes)) == Choice("africastalking", "fallback", (("celcom", "cannot_carry"),))
    alone = pick(job(**changes), routes=ROUTES[:1])
    assert isinstance(alone, NoRoute)
    assert alone.never


def test_it_goes_only_to_networks_that_the_route_serves() -> None:
    routes = (Route("celcom", PLAIN, unserved=frozenset({"KE:Airtel"})), ROUTES[1])
    assert pick(job(mno="Airtel"), routes=routes) == Choice(
        "africastalking", "fallback", (("celcom", "network_not_served"),)
    )
    assert pick(job(), routes=routes) == Choice("celcom", "primary")


def test_one_network_may_go_another_way_than_the_others() -> None:
    ill: dict[str, Any] = {"celcom_Airtel": Standing("shut", "undelivered", soft=True)}
    assert pick(job(mno="Airtel"), **ill) == Choice(
        "africastalking", "fallback", (("celcom", "undelivered"),)
    )
    assert pick(job(), **ill) == Choice("celcom", "primary")
    assert pick(job(mno="Airtel"), africastalking=DOWN, **ill) == Choice(
        "celcom", "last_resort", (("africastalking", "failing"),)
    ), "badly is better than not at all"


def test_staff_switch_an_aggregator_off_for_all_or_for_one_account() -> None:
    off = (Route("celcom", PLAIN, enabled=False), ROUTES[1])
    assert pick(job(), routes=off) == Choice("africastalking", "fallback", (("celcom", "switched_off"),))
    rule = AccountRule(switched_off=frozenset({"celcom"}))
    assert pick(job(), rule=rule) == Choice(
        "africastalking", "fallback", (("celcom", "switched_off_for_account"),)
    )
    assert pick(job(account_id=UUID(int=9)), rule=rule) == Choice("celcom", "primary")


def test_a_preferred_aggregator_is_tried_first_and_a_forced_one_is_the_only_one() -> None:
    preferred = AccountRule("africastalking")
    assert pick(job(), rule=preferred) == Choice("africastalking", "preferred")
    assert pick(job(), rule=preferred, africastalking=DOWN) == Choice(
        "celcom", "fallback", (("africastalking", "failing"),)
    )
    forced = AccountRule("africastalking", forced=True)
    assert pick(job(), rule=forced) == Choice("africastalking", "forced")
    waits = pick(job(), rule=forced, africastalking=DOWN)
    assert waits == NoRoute((("africastalking", "failing"),))
    assert isinstance(waits, NoRoute)
    assert not waits.never
    gone = pick(job(), rule=AccountRule("elsewhere", forced=True))
    assert gone == NoRoute((("elsewhere", "not_configured"),))


def test_half_open_one_message_may_try_it() -> None:
    trial = Standing("trial", None, "celcom")
    assert pick(job(), celcom=trial) == Choice("celcom", "trial", trial="celcom")


def test_what_could_not_be_reached_a_moment_ago_is_not_asked_again() -> None:
    assert pick(job(), failed=frozenset({"celcom"})) == Choice(
        "africastalking", "fallback", (("celcom", "not_connected"),)
    )


@given(
    st.builds(
        AccountRule,
        st.sampled_from([None, "celcom", "africastalking"]),
        st.booleans(),
        st.frozensets(st.sampled_from(["celcom", "africastalking"])),
    ),
    st.sampled_from(["celcom", "africastalking"]),
    st.fixed_dictionaries(
        {
            name: st.sampled_from([FINE, DOWN, Standing("trial", None, name)])
            for name in ("celcom", "africastalking")
        }
    ),
)
def test_a_message_in_doubt_never_goes_to_another_aggregator(
    rule: AccountRule, doubted: str, standing: dict[str, Any]
) -> None:
    went = pick(job(only_via=doubted), rule=rule, **standing)
    assert isinstance(went, NoRoute) or went.aggregator == doubted


def test_what_an_aggregator_will_never_take_goes_elsewhere_or_ends() -> None:
    went = pick(job(not_via=("celcom",)))
    assert went == Choice("africastalking", "fallback", (("celcom", "refused_before"),))
    assert isinstance(went, Choice)
    assert refused_before(went.told) == ("celcom",)
    nowhere = pick(job(not_via=("celcom", "africastalking")))
    assert isinstance(nowhere, NoRoute)
    assert nowhere.never


def test_a_choice_is_told_shortly_when_there_was_none_to_make() -> None:
    assert Choice("celcom", "primary").told == {"reason": "primary"}
    assert Choice("africastalking", "fallback", (("celcom", "failing"),)).told == {
        "reason": "fallback",
        "passed_over": [{"aggregator": "celcom", "reason": "failing"}],
    }


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        (FINE, "resend"),
        (Standing("trial", None, "celcom"), "trial"),
        (Standing("shut", "slow", soft=True), "last_resort"),
    ],
)
def test_a_bond_is_told_whatever_the_reason_of_the_choice(standing: Standing, reason: str) -> None:
    bound = job(only_via="celcom")
    choice = pick(bound, celcom=standing)
    assert isinstance(choice, Choice)
    assert choice.reason == reason
    assert is_bound(bonded(bound, choice.told))
    assert not is_bound(bonded(job(), choice.told)) or reason == "resend"
