"""What a batch of reports adds up to."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_aggregators import Report, ReportStatus
from sema_common.messages.status import FINAL, RANK, Status, climbs
from sema_common.values.ids import event_id, new_id
from sema_dlr_processor import rules
from sema_dlr_processor.rules import Kept

MESSAGE, TENANT = new_id(), new_id()
T0 = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)

STATUSES = st.sampled_from(["sent", "delivered", "failed", "expired", None])


def kept(
    status: ReportStatus | None,
    description: str = "",
    *,
    code: str | None = None,
    occurred_at: datetime | None = None,
    received_at: datetime = T0,
) -> Kept:
    report = Report("agg-1", status, description or str(status), code, occurred_at)
    return Kept(event_id(status, description, received_at), received_at, "celcom", report, "raw")


def end_state(start: Status, batches: list[list[ReportStatus | None]]) -> Status:
    """Where a message ends when its reports come in these batches, as `apply_reports` moves it."""
    status = start
    for batch in batches:
        reported = rules.reported(MESSAGE, [kept(s) for s in batch])
        if reported is not None and climbs(status, reported.status):
            status = reported.status
    return status


@given(st.lists(STATUSES, max_size=6), st.randoms(), st.integers(1, 6))
def test_order_and_batching_never_matter_for_the_end_state(
    reports: list[ReportStatus | None], random: object, size: int
) -> None:
    one_by_one = end_state("sent", [[report] for report in reports])
    shuffled = list(reports)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = end_state("sent", [shuffled[i : i + size] for i in range(0, len(shuffled), size)])
    assert RANK[one_by_one] == RANK[other]
    if not {"failed", "expired"} <= set(reports):  # of two ends without delivery the first one stays
        assert one_by_one == other


@given(st.lists(STATUSES, min_size=1, max_size=6))
def test_delivered_wins_over_everything(reports: list[ReportStatus | None]) -> None:
    ends = {end_state("sent", [list(order)]) for order in permutations([*reports, "delivered"][:5])}
    assert ("delivered" in [*reports, "delivered"][:5]) == (ends == {"delivered"})


def test_news_from_the_way_is_no_end() -> None:
    assert rules.reported(MESSAGE, [kept("sent"), kept(None, "SomethingNew")]) is None


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        ("failed", "absent_subscriber", "absent_subscriber"),
        ("failed", None, "undelivered"),
        ("expired", "expired_at_network", "expired_at_network"),
        ("expired", None, "expired"),
    ],
)
def test_an_undelivered_message_has_a_stable_code(
    status: ReportStatus, code: str | None, expected: str
) -> None:
    reported = rules.reported(MESSAGE, [kept(status, "AbsentSubscriber", code=code)])
    assert reported is not None
    assert reported.error == {"code": expected, "detail": "The network reported: AbsentSubscriber."}
    delivered = rules.reported(MESSAGE, [kept("delivered")])
    assert delivered is not None
    assert delivered.error is None


@pytest.mark.parametrize(
    ("occurred_at", "expected"),
    [
        (None, T0),
        (T0 - timedelta(hours=3), T0 - timedelta(hours=3)),
        (T0 + timedelta(minutes=4), T0 + timedelta(minutes=4)),
        (T0 + timedelta(minutes=6), T0),
    ],
)
def test_a_reports_own_time_is_believed_within_reason(
    occurred_at: datetime | None, expected: datetime
) -> None:
    assert kept("delivered", occurred_at=occurred_at).at == expected


@pytest.mark.parametrize(
    ("status", "moved", "standing", "expected"),
    [
        ("delivered", True, "delivered", "applied"),
        ("delivered", False, "delivered", "repeated"),
        ("failed", True, "delivered", "contradicted"),
        ("failed", False, "delivered", "contradicted"),
        ("expired", False, "failed", "contradicted"),
        ("sent", False, "sent", "noted"),
        (None, True, "delivered", "noted"),
    ],
)
def test_what_became_of_a_report(
    status: ReportStatus | None, moved: bool, standing: Status, expected: str
) -> None:
    assert rules.result(kept(status), moved, standing) == expected


def test_only_what_moves_nothing_is_noted_and_a_repeat_has_the_same_key() -> None:
    news, strange, contradiction = kept("sent", "SentToNetwork"), kept(None, "Novel"), kept("failed", "Late")
    again = kept("sent", "SentToNetwork", received_at=T0 + SECOND)
    notes = rules.noted(
        TENANT, MESSAGE, [news, again, strange, contradiction, kept("delivered")], "delivered"
    )
    assert [(n.event_key, n.status) for n in notes] == [
        ("network_report:sent:SentToNetwork", "network_report"),
        ("network_report::Novel", "network_report"),
        ("contradicted_report:failed:Late", "contradicted_report"),
    ]


@given(STATUSES, st.text(max_size=200))
def test_the_key_of_a_note_is_bounded(status: ReportStatus | None, description: str) -> None:
    for note in rules.noted(TENANT, MESSAGE, [kept(status, description)], "sent"):
        assert len(note.event_key) <= 120
        assert note.message_id == MESSAGE
        assert isinstance(note.tenant_id, UUID)


@given(st.timedeltas(timedelta(0), timedelta(days=4)))
def test_an_unmatched_report_is_looked_for_soon_and_then_less_and_less(age: timedelta) -> None:
    wait = rules.retry_at(T0, T0 + age) - (T0 + age)
    assert rules.FIRST_RETRY <= wait <= rules.LAST_RETRY
    if age <= timedelta(seconds=16):
        assert wait <= 4 * SECOND, "with the loop's second: matched within 5 s of the submit"


def test_the_final_statuses_are_those_that_a_report_may_bring() -> None:
    assert {"delivered", "failed", "expired"} == FINAL
