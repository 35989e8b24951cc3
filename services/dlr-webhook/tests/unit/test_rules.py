import base64
from datetime import UTC, datetime
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.wire.dlr import MAX_REPORTS, RawDlr, RawDlrs
from sema_dlr_webhook import rules

TOKENS = {"celcom": (b"a" * 24, b"b" * 24), "africastalking": (b"c" * 24,)}
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def report(body: bytes = b"{}", query: str = "", at: datetime = NOON) -> RawDlr:
    return RawDlr(aggregator="celcom", query=query, body=base64.b64encode(body), received_at=at)


@pytest.mark.parametrize(
    ("aggregator", "token", "admitted"),
    [
        ("celcom", b"a" * 24, True),
        ("celcom", b"b" * 24, True),
        ("africastalking", b"c" * 24, True),
        ("africastalking", b"a" * 24, False),
        ("celcom", b"a" * 23, False),
        ("celcom", b"", False),
        ("nobody", b"", False),
        ("nobody", b"?" * 32, False),
        ("", b"", False),
    ],
)
def test_only_an_aggregators_own_tokens_are_admitted(aggregator: str, token: bytes, admitted: bool) -> None:
    assert rules.admits(TOKENS, aggregator, token) is admitted


@given(st.lists(st.sampled_from([0, 1, 300, 5_000, 60_000, rules.MAX_BODY]), max_size=250))
def test_bundles_keep_every_report_in_order_within_both_bounds(sizes: list[int]) -> None:
    bodies = {size: bytes(size) for size in sizes}
    reports = [report(bodies[size]) for size in sizes]
    cut = list(rules.bundles(reports))
    assert list(chain(*cut)) == reports
    for bundle in cut:
        assert 1 <= len(bundle) <= MAX_REPORTS
        assert sum(len(each.body) for each in bundle) <= rules.MAX_BUNDLE


def test_a_full_bundle_is_at_most_half_a_mebibyte_of_content_on_the_wire() -> None:
    bundle = next(rules.bundles([report(bytes(rules.MAX_BUNDLE // 96)) for _ in range(200)]))
    assert len(bundle) == 96
    assert len(RawDlrs(reports=bundle).model_dump_json()) <= 512 * 1024 + len(bundle) * 300


def test_the_same_reports_sent_again_make_the_same_event() -> None:
    again = datetime(2026, 11, 20, 12, 5, tzinfo=UTC)
    assert rules.bundle_id([report(b"x"), report(b"y")]) == rules.bundle_id(
        [report(b"x", at=again), report(b"y")]
    )


def test_other_reports_make_another_event() -> None:
    ids = [
        rules.bundle_id(bundle)
        for bundle in (
            [report(b"x")],
            [report(b"x"), report(b"x")],
            [report(b"", query="x")],
            [report(b"xy")],
            [report(b"y"), report(b"x")],
            [report(b"x"), report(b"y")],
        )
    ]
    assert len(set(ids)) == len(ids)
