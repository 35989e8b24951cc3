import pytest

from sema_common.values.senders import ANY_SENDER, SenderRule, is_sender_id, why_not_taken

STRICT = SenderRule(needs_registration=True, allows_alphanumeric=True, allows_numeric=False)
NUMBERS = SenderRule(needs_registration=False, allows_alphanumeric=False, allows_numeric=True)


@pytest.mark.parametrize(
    ("sender", "country", "rule", "why"),
    [
        ("ACME", "KE", STRICT, None),
        ("ACME", "UG", STRICT, "not_registered_in_country"),
        ("20414", "KE", STRICT, "numeric_not_allowed"),
        ("+254700000001", "KE", STRICT, "numeric_not_allowed"),
        ("ACME", "KE", NUMBERS, "alphanumeric_not_allowed"),
        ("4ACME", "KE", NUMBERS, "alphanumeric_not_allowed"),
        ("20414", "ZA", NUMBERS, None),
        ("ACME", "ZA", ANY_SENDER, None),
        ("20414", "ZA", ANY_SENDER, None),
    ],
)
def test_a_country_takes_what_its_rule_says(
    sender: str, country: str, rule: SenderRule, why: str | None
) -> None:
    assert why_not_taken(sender, {"KE"}, country, rule) == why


@pytest.mark.parametrize(
    "text", ["Saf\u0430ricom", "SE\u200bMA", "ＳＥＭＡ", "SEMA\u202e", "\u0661\u0662\u0663"]
)
def test_letters_that_only_look_like_letters_make_no_sender(text: str) -> None:
    """OWASP API6:2023, Unicode TR39: homoglyphs never get as far as a comparison."""
    assert not is_sender_id(text)
