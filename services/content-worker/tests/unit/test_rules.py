from sema_content_checker import Reason
from sema_content_worker.rules import reasons_as_json


def test_reasons_read_as_in_a_refused_send() -> None:
    said = [{"check": "spam", "detail": "looks like phishing"}]
    assert reasons_as_json([Reason("spam", "looks like phishing")]) == said
