import pytest

from sema_common.values.errors import Refused
from sema_main_api.admin.senders.rules import LookAlike, check_approval, protected_in

NAMES = ("Safaricom", "M-PESA", "KCB", "I&M Bank")


@pytest.mark.parametrize(
    ("sender", "found"),
    [
        ("SAFARICOM", ["Safaricom"]),
        ("Safar1c0m", ["Safaricom"]),
        ("SAFARlCOM", ["Safaricom"]),
        ("Safa-ricom", ["Safaricom"]),
        ("Mpesa", ["M-PESA"]),
        ("MPESA-KE", ["M-PESA"]),
        ("My M.Pesa", ["M-PESA"]),
        ("KC8", ["KCB"]),
        ("KCBTECH", []),
        ("ACME", []),
        ("5054", []),
    ],
)
def test_a_protected_name_is_seen_through_its_disguise(sender: str, found: list[str]) -> None:
    """OWASP API6:2023, Unicode TR39."""
    assert [each.name for each in protected_in(sender, NAMES)] == found


FOUND = [LookAlike("approved", "EQUITY1", "id", "Equity")]


@pytest.mark.parametrize(
    ("despite", "reason", "role", "code"),
    [
        (False, "It is theirs.", "staff_admin", "sender_id_looks_alike"),
        (True, "It is theirs.", "staff_support", "forbidden"),
        (True, None, "staff_admin", "validation_failed"),
    ],
)
def test_what_looks_like_another_needs_an_administrator_and_a_reason(
    despite: bool, reason: str | None, role: str, code: str
) -> None:
    """OWASP API5:2023."""
    with pytest.raises(Refused) as caught:
        check_approval(FOUND, despite, reason, role)
    assert caught.value.code == code
    check_approval(FOUND, True, "The same company.", "staff_admin")
    check_approval([], False, None, "staff_support")
