"""The rules of delivery: who gets a fact, how it is signed, what an answer means, when to try again."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from sema_common.wire.webhook import Fact
from sema_webhook_delivery import rules
from sema_webhook_delivery.rules import Attempt, Endpoint, Outcome, Subscriber, Verdict

AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
ACCOUNT, TENANT = uuid4(), uuid4()


def fact(**changes: object) -> Fact:
    given = {
        "event_id": uuid4(),
        "type": "message.delivered",
        "account_id": ACCOUNT,
        "occurred_at": AT,
        "data": {"id": "msg_1", "cost": "0.8000", "body": "ni hao 你好"},
    }
    return Fact.model_validate(given | changes)


def endpoint(*events: str, enabled: bool = True) -> Endpoint:
    return Endpoint(uuid4(), "https://a.example/hook", frozenset(events), (b"k" * 32,), enabled)


def subscriber(*endpoints: Endpoint) -> Subscriber:
    return Subscriber(ACCOUNT, TENANT, (b"d" * 32,), endpoints)


@pytest.mark.parametrize(
    ("secret", "id_", "timestamp", "body", "signature"),
    [
        (
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1614265330,
            '{"test": 2432232314}',
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ),
        (
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
            "evt_1",
            1735689600,
            '{"type":"message.delivered","timestamp":"2025-01-01T00:00:00Z","data":{"id":"msg_1"}}',
            "v1,zItzifH2Ag+fo38k6W9HVOfgNGWfkYrsGe+rr4Bfz7I=",
        ),
        (
            "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "evt_1",
            1735689600,
            '{"type":"message.delivered","timestamp":"2025-01-01T00:00:00Z","data":{"id":"msg_1"}}',
            "v1,gZ3HMrf20aPa1Z0Rdj+oJIrUeyompem8SvtEcpdNzZM=",
        ),
    ],
)
def test_signatures_are_those_of_the_reference(
    secret: str, id_: str, timestamp: int, body: str, signature: str
) -> None:
    """ASVS 4.1.5."""
    assert rules.signature([rules.signing_key(secret)], id_, timestamp, body.encode()) == signature


def test_during_a_rotation_either_secret_verifies() -> None:
    new, old = "whsec_" + "A" * 43 + "=", "whsec_" + "B" * 43 + "="
    owed = next(rules.fan_out(fact(), subscriber(endpoint("message.delivered")), AT))
    at = datetime.now(UTC)
    headers = rules.headers(owed, [rules.signing_key(new), rules.signing_key(old)], at)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (new, old):
        assert Webhook(secret).verify(owed.payload, headers) == json.loads(owed.payload)


@pytest.mark.parametrize("secret", ["", "AAAA", "whpk_AAAA", "whsec_not base64"])
def test_what_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="secret"):
        rules.signing_key(secret)


def test_the_webhook_id_is_the_event_and_the_time_the_attempts() -> None:
    owed = next(rules.fan_out(fact(), subscriber(endpoint("message.delivered")), AT))
    first = rules.headers(owed, [b"k"], AT)
    second = rules.headers(owed, [b"k"], AT + timedelta(hours=1))
    assert first["webhook-id"] == second["webhook-id"] == str(owed.event_id)
    assert "." not in first["webhook-id"]
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 3600


def test_the_payload_is_minified_and_bears_the_time_of_the_event() -> None:
    body = rules.payload(fact())
    assert body.startswith('{"type":"message.delivered","timestamp":"2026-11-20T09:30:00.000Z","data":{')
    assert json.loads(body)["data"]["body"] == "ni hao 你好"


def test_a_fact_goes_to_every_enabled_endpoint_that_subscribed_and_to_its_callback() -> None:
    wants, other, off = (
        endpoint("message.delivered", "x"),
        endpoint("x"),
        endpoint("message.delivered", enabled=False),
    )
    happened = fact(callback_url="https://B.example:8443/cb?x=1")
    owed = list(rules.fan_out(happened, subscriber(wants, other, off), AT))
    assert [o.endpoint_id for o in owed] == [wants.id, None]
    assert owed[1].target == f"{ACCOUNT}:b.example:8443"
    assert owed[1].url == happened.callback_url
    assert [o.id for o in rules.fan_out(happened, subscriber(wants), AT)] == [o.id for o in owed]
    assert len({o.id for o in owed}) == 2


def test_a_test_ping_goes_to_its_endpoint_alone_whatever_it_subscribed_to() -> None:
    one, two = endpoint("x"), endpoint("webhook.test")
    owed = list(rules.fan_out(fact(type="webhook.test", endpoint_id=one.id), subscriber(one, two), AT))
    assert [o.endpoint_id for o in owed] == [one.id]


def test_a_delivery_follows_its_endpoints_present_url_and_state() -> None:
    one = endpoint("message.delivered")
    owed = next(rules.fan_out(fact(), subscriber(one), AT))
    moved = Endpoint(one.id, "https://new.example/", one.events, (b"n",), True)
    assert rules.address(owed, subscriber(moved)) == ("https://new.example/", (b"n",))
    assert rules.address(owed, subscriber(Endpoint(one.id, one.url, one.events, one.keys, False))) is None
    assert rules.address(owed, subscriber()) is None


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(200, "delivered"), (204, "delivered"), (299, "delivered"), (301, "failed"), (302, "failed"), (304, "failed"),
     (400, "failed"), (404, "failed"), (410, "gone"), (429, "throttled"), (500, "failed"), (502, "throttled"),
     (503, "failed"), (504, "throttled"), (None, "failed"), (101, "failed")],
)  # fmt: skip
def test_only_2xx_is_success(status: int | None, verdict: str) -> None:
    assert rules.judge(status) == verdict


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("120", 120.0), (" 7 ", 7.0), ("999999999999999999999", rules.RETRY_AFTER_MAX), ("-5", None),
     ("soon", None), ("١٢", None), ("Fri, 20 Nov 2026 09:31:00 GMT", 60.0), ("Fri, 20 Nov 2020 09:31:00 GMT", 0.0),
     ("Fri, 20 Nov 2099 09:31:00 GMT", rules.RETRY_AFTER_MAX),
     ("Fri, 20 Nov 99999999999999999999 09:31:00 GMT", None), ("Fri, 20 Nov 2026 09:31:00 +99999999999999", None)],
)  # fmt: skip
def test_retry_after_is_a_number_or_a_date_and_bounded(header: str | None, seconds: float | None) -> None:
    assert rules.retry_after(header, AT) == seconds


@given(
    factors=st.lists(st.floats(1 - rules.JITTER, 1 + rules.JITTER), min_size=6, max_size=6),
    asked=st.lists(st.none() | st.floats(0, rules.RETRY_AFTER_MAX), min_size=6, max_size=6),
    durations=st.lists(st.floats(0, 10), min_size=6, max_size=6),
    scale=st.sampled_from([1.0, 0.01]),
)
def test_one_try_and_at_most_five_retries_within_24_hours(
    factors: list[float], asked: list[float | None], durations: list[float], scale: float
) -> None:
    created, at = AT, AT
    attempts = 0
    while True:
        attempts += 1
        failed_at = at + timedelta(seconds=durations[attempts - 1] * scale)
        again = rules.retry_at(
            attempts, created, failed_at, factors[attempts - 1], asked[attempts - 1], scale
        )
        if again is None:
            break
        assert again >= failed_at
        assert again <= created + rules.LIFETIME * scale
        at = again
    assert attempts <= rules.MAX_ATTEMPTS


def test_the_schedule_without_jitter_is_the_products() -> None:
    at, waits = AT, []
    for attempt in range(1, 6):
        again = rules.retry_at(attempt, AT, at, 1.0)
        assert again is not None
        waits.append((again - at).total_seconds())
        at = again
    assert waits == [60, 600, 3600, 21600, 86400 - 25860]
    assert rules.retry_at(6, AT, at, 1.0) is None


@given(st.integers(1, 4), st.floats(1 - rules.JITTER, 1 + rules.JITTER), st.floats(0, rules.RETRY_AFTER_MAX))
def test_a_wait_is_the_rules_or_the_receivers_whichever_is_longer(
    attempt: int, factor: float, asked: float
) -> None:
    again = rules.retry_at(attempt, AT, AT, factor, asked)
    assert again is not None
    wait = (again - AT).total_seconds()
    assert wait == pytest.approx(max(rules.WAITS[attempt - 1] * factor, asked), abs=1e-3)


def test_a_redelivery_after_the_lifetime_is_tried_once() -> None:
    assert rules.retry_at(2, AT, AT + timedelta(days=3), 1.0) is None


def test_a_deferral_ends_with_the_lifetime() -> None:
    end = AT + rules.LIFETIME
    assert rules.deferred_until(end, AT) == end
    assert rules.deferred_until(end + timedelta(seconds=1), AT) is None


def outcome(endpoint_id: UUID | None, verdict: Verdict) -> Outcome:
    one = endpoint("message.delivered")
    owed = next(rules.fan_out(fact(), subscriber(one), AT))
    owed = rules.Owed(**{**{f: getattr(owed, f) for f in owed.__slots__}, "endpoint_id": endpoint_id})
    return rules.outcome(owed, Attempt(1, AT, 5, 200, None, "", verdict), AT, 1.0, None, 1.0)


def test_an_attempt_ends_a_delivery_or_schedules_the_next() -> None:
    assert outcome(None, Verdict.DELIVERED).state == "succeeded"
    failed = outcome(None, Verdict.FAILED)
    assert (failed.state, failed.next_attempt_at) == ("pending", AT + timedelta(seconds=60))
    gone = outcome(None, Verdict.GONE)
    assert (gone.state, gone.next_attempt_at) == ("failed", None)


def test_one_success_outweighs_failures_and_410_outweighs_all() -> None:
    mixed, gone, bad = uuid4(), uuid4(), uuid4()
    health = rules.health(
        [
            outcome(mixed, Verdict.FAILED),
            outcome(mixed, Verdict.DELIVERED),
            outcome(gone, Verdict.DELIVERED),
            outcome(gone, Verdict.GONE),
            outcome(bad, Verdict.THROTTLED),
            outcome(None, Verdict.FAILED),
            Outcome(outcome(mixed, Verdict.FAILED).owed, "pending", AT, AT),
        ]
    )
    assert health == rules.Health((mixed,), (bad,), (gone,))
    assert list(rules.to_disable(health, AT)) == [
        ((gone,), "gone", AT),
        ((bad,), "failing", AT - rules.FAILING_DAYS),
    ]
