from datetime import UTC, datetime
from uuid import UUID

import pytest

from sema_common.values.ids import event_id
from sema_content_checker import Reason
from sema_content_worker.rules import Campaign, reasons_as_json, rejected_fact

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
REASONS = [{"check": "spam", "detail": "looks like phishing"}]


def campaign(status: str = "rejected") -> Campaign:
    return Campaign(
        id=UUID(int=1),
        account_id=UUID(int=2),
        billing_account_id=UUID(int=3),
        name="Launch",
        message="secret words",
        status=status,
        currency="KES",
        rejection_reasons=REASONS,
        send_at=None,
        created_at=NOON,
        screened_at=NOON,
    )


def test_a_rejection_told_twice_is_the_same_fact() -> None:
    first, again = rejected_fact(campaign(), None), rejected_fact(campaign(), None)
    assert first == again
    assert first.event_id == event_id(UUID(int=1), "rejected")


def test_a_rejection_says_why_and_what_it_costs_but_not_the_text() -> None:
    fact = rejected_fact(campaign(), None)
    assert (fact.type, fact.account_id, fact.occurred_at) == ("campaign.rejected", UUID(int=2), NOON)
    assert fact.data["status"] == "rejected"
    assert fact.data["rejection_reasons"] == REASONS
    assert fact.data["cost"] == {"amount": "0.0000", "currency": "KES"}
    assert "secret" not in fact.model_dump_json()


def test_only_a_rejection_makes_the_fact() -> None:
    with pytest.raises(AssertionError):
        rejected_fact(campaign("approved"), None)


def test_reasons_read_as_in_a_refused_send() -> None:
    assert reasons_as_json([Reason("spam", "looks like phishing")]) == REASONS
