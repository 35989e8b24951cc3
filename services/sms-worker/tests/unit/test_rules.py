"""The tables that decide about a message."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_aggregators import Outcome, SubmitOutcome, TransportFailure
from sema_common.messages.status import Status
from sema_common.messages.store.attempts import Attempt, AttemptState
from sema_common.messages.store.outcomes import Ended, Sent, Unfinished
from sema_common.platform.http import Failure
from sema_common.values.ids import new_id
from sema_common.wire.sms import Lane, SmsJob, SmsJobs
from sema_sms_worker.rules import doubt, facts, jobs
from sema_sms_worker.rules.outcomes import RetryPolicy, ask_again, conclude, expired, retry_delay

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
HOLD = timedelta(seconds=300)
LEASE = timedelta(seconds=60)
POLICY = RetryPolicy(retries=3, first=timedelta(seconds=5), hold=HOLD)
ID = new_id(NOW)


def job(**changes: object) -> SmsJob:
    fields: dict[str, object] = {
        "message_id": ID,
        "account_id": UUID(int=1),
        "tenant_id": UUID(int=2),
        "billing_account_id": UUID(int=3),
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


def attempt(state: AttemptState, lane: Lane = "normal", number: int = 1, **changes: Any) -> Attempt:
    fields: dict[str, Any] = {
        "aggregator_id": None,
        "code": None,
        "detail": None,
        "claimed_at": NOW,
        "finished_at": None if state == "claimed" else NOW,
        "due_at": None,
    }
    return Attempt(ID, number, UUID(int=2), lane, "celcom", state, **(fields | changes))


# --- retries


@given(st.integers(1, 3), st.floats(0, 1))
def test_each_retry_waits_about_twice_as_long_as_the_one_before(number: int, chance: float) -> None:
    delay = retry_delay(POLICY, number, None, chance)
    assert delay is not None
    plain = POLICY.first.total_seconds() * 2 ** (number - 1)
    assert 0.8 * plain <= delay.total_seconds() + 1e-6
    assert delay.total_seconds() <= 1.2 * plain + 1e-6


@given(st.integers(4, 100), st.floats(0, 1))
def test_there_are_three_retries(number: int, chance: float) -> None:
    assert retry_delay(POLICY, number, 300.0, chance) is None


def test_a_retry_is_not_earlier_than_the_aggregator_asks() -> None:
    assert retry_delay(POLICY, 1, 300.0, 0.5) == timedelta(seconds=300)


@pytest.mark.parametrize("outcome", [Outcome.NO_WAY, Outcome.ACCOUNT])
def test_what_nobody_looked_at_was_no_attempt(outcome: Outcome) -> None:
    assert conclude(job(attempt=4), "celcom", SubmitOutcome(outcome, "x"), NOW, POLICY, 0.5) is None


def test_outcomes_become_records() -> None:
    def of(outcome: Outcome, **changes: object) -> Sent | Ended | Unfinished | None:
        said = SubmitOutcome(outcome, "code", "detail", "id" if outcome is Outcome.ACCEPTED else None)
        return conclude(job(**changes), "celcom", said, NOW, POLICY, 0.5)

    key = (ID, 1, UUID(int=2))
    assert of(Outcome.ACCEPTED) == Sent(*key, "celcom", "id", NOW, NOW)
    assert of(Outcome.REFUSED) == Ended(*key, "failed", "code", "detail", NOW, "celcom")
    assert of(Outcome.NOT_SENT) == Unfinished(
        *key, "not_sent", "code", "detail", NOW, NOW + timedelta(seconds=5)
    )
    assert of(Outcome.IN_DOUBT) == Unfinished(*key, "in_doubt", "code", "detail", NOW, NOW + HOLD)
    assert of(Outcome.IN_DOUBT, lane="priority") == Unfinished(*key, "in_doubt", "code", "detail", NOW, NOW)
    exhausted = of(Outcome.NOT_SENT, attempt=4)
    assert isinstance(exhausted, Ended)
    assert (exhausted.code, exhausted.status) == ("retries_exhausted", "failed")


def test_a_retry_beyond_the_validity_comes_back_when_it_ends() -> None:
    said = SubmitOutcome(Outcome.NOT_SENT, "x", wait_seconds=300.0)
    short = job(valid_until=NOW + timedelta(seconds=60))
    record = conclude(short, "celcom", said, NOW, POLICY, 0.5)
    assert isinstance(record, Unfinished)
    assert record.due_at == short.valid_until


# --- doubt


def settle(
    *made: Attempt,
    after: timedelta = timedelta(0),
    status: Status = "queued",
    valid_for: timedelta = timedelta(hours=1),
) -> doubt.Step:
    return doubt.settle(made, made[-1].attempt, status, NOW + valid_for, NOW + after, LEASE, HOLD)


RESENT = attempt("settled", "priority")

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("made", "after", "expected"),
    [
        ([attempt("claimed")], timedelta(seconds=59), doubt.Step("wait", NOW + LEASE)),
        ([attempt("claimed")], MINUTE, doubt.Step("doubt", NOW + MINUTE + HOLD)),
        ([attempt("claimed", "priority")], MINUTE, doubt.Step("doubt", NOW + MINUTE)),
        ([attempt("in_doubt")], timedelta(0), doubt.Step("wait", NOW + HOLD)),
        ([attempt("in_doubt")], HOLD, doubt.Step("fail")),
        ([attempt("in_doubt", "priority")], timedelta(0), doubt.Step("resend")),
        ([RESENT, attempt("in_doubt", "priority", 2)], MINUTE, doubt.Step("wait", NOW + HOLD)),
        ([RESENT, attempt("in_doubt", "priority", 2)], HOLD, doubt.Step("fail")),
        ([attempt("not_sent", "priority"), attempt("in_doubt", "priority", 2)], MINUTE, doubt.Step("resend")),
        ([attempt("settled", "priority")], MINUTE, doubt.Step("resend")),
        ([attempt("accepted")], HOLD, doubt.DONE),
        ([attempt("refused")], HOLD, doubt.DONE),
        ([attempt("not_sent")], HOLD, doubt.DONE),
    ],
)
def test_the_policy_of_each_lane(made: list[Attempt], after: timedelta, expected: doubt.Step) -> None:
    assert settle(*made, after=after) == expected


def test_a_message_past_its_validity_is_not_resent() -> None:
    made = attempt("in_doubt", "priority")
    assert settle(made, after=MINUTE, valid_for=MINUTE) == doubt.Step("wait", NOW + HOLD)


@pytest.mark.parametrize("status", ["sent", "delivered", "failed", "expired"])
def test_a_message_that_went_on_needs_nothing(status: Status) -> None:
    for state in ("claimed", "in_doubt", "settled"):
        assert settle(attempt(state), after=HOLD, status=status) == doubt.DONE


@given(
    st.sampled_from(["claimed", "in_doubt", "settled", "not_sent"]),
    st.timedeltas(timedelta(0), timedelta(days=3)),
)
def test_the_normal_lane_never_resends_what_may_have_arrived(state: AttemptState, after: timedelta) -> None:
    if state != "settled":
        assert settle(attempt(state), after=after).what != "resend"


# --- jobs and facts


def test_the_same_attempt_twice_is_one_job() -> None:
    first, again, other = job(), job(), job(attempt=2)
    assert list(jobs.distinct([SmsJobs(jobs=(first, other)), SmsJobs(jobs=(again,))])) == [(ID, 1), (ID, 2)]


@pytest.mark.parametrize(("code", "elsewhere"), [("network_not_allowed", True), ("invalid_number", False)])
def test_what_is_beyond_an_aggregators_reach_is_offered_to_another_one(code: str, elsewhere: bool) -> None:
    no = SubmitOutcome(Outcome.REFUSED, code)
    there = conclude(job(), "celcom", no, NOW, POLICY, 0.5, elsewhere=True)
    assert isinstance(there, Unfinished if elsewhere else Ended)
    assert isinstance(conclude(job(), "celcom", no, NOW, POLICY, 0.5), Ended), "unless there is no other"


@given(st.floats(0, 1e6), st.floats(0, 1))
def test_what_waits_for_its_route_asks_again_before_its_end_and_within_half_a_minute(
    shut_for: float, chance: float
) -> None:
    again = ask_again(job(valid_until=NOW + timedelta(seconds=15)), NOW, shut_for, chance)
    assert NOW < again <= NOW + timedelta(seconds=15)
    assert ask_again(job(), NOW, shut_for, chance) <= NOW + timedelta(seconds=30)


@given(st.lists(st.integers(), max_size=50), st.integers(1, 20))
def test_bulks_hold_everything_in_order(items: list[int], size: int) -> None:
    cut = list(jobs.bulks(items, size))
    assert [item for bulk in cut for item in bulk] == items
    assert all(len(bulk) == size for bulk in cut[:-1])


def test_a_fact_is_retold_as_it_was_told() -> None:
    record = Sent(ID, 1, UUID(int=2), "celcom", "id", NOW, NOW)
    made = attempt("accepted", aggregator_id="id")
    assert facts.retold(job(), made, "delivered") == facts.sent(job(), record)
    end = Ended(ID, 1, UUID(int=2), "failed", "code", "detail", NOW, "celcom")
    refused = attempt("refused", code="code", detail="detail")
    assert facts.retold(job(), refused, "failed") == facts.ended(job(), end)
    late = expired(job(), NOW)
    over = attempt("refused", code=late.code, detail=late.detail)
    assert facts.retold(job(), over, "expired") == facts.ended(job(), late)


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (attempt("claimed"), "queued"),
        (attempt("not_sent"), "failed"),
        (attempt("in_doubt"), "queued"),
        (attempt("settled", code=doubt.RESENT[0]), "failed"),
        (attempt("refused"), "delivered"),
    ],
)
def test_an_attempt_that_ended_nothing_tells_nothing(made: Attempt, status: Status) -> None:
    assert facts.retold(job(), made, status) is None


def test_every_way_a_call_can_fail_has_an_outcome() -> None:
    assert {failure.value for failure in Failure} == {failure.value for failure in TransportFailure}
