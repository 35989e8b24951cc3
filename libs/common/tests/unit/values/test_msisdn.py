"""One spelling for each number, a stable reason for each refusal."""

import re

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberType

from sema_common.values.msisdn import (
    AFRICAN_COUNTRIES,
    REASONS,
    InvalidMsisdn,
    Msisdn,
    _quick_national,
    country_of,
    mask,
    parse_msisdn,
    suggest,
)

SAFARICOM = "+254712345678"


@pytest.mark.parametrize(
    ("text", "region"),
    [
        (SAFARICOM, None),
        ("+254 712 345-678", None),
        ("+254 (712) 345.678", None),
        ("\u202a+254712345678\u202c\u200b", None),
        ("＋２５４７１２３４５６７８", None),
        ("+٢٥٤٧١٢٣٤٥٦٧٨", None),
        ("+2540712345678", None),
        ("0712345678", "KE"),
        ("712345678", "KE"),
        ("254712345678", "KE"),
        ("00254712345678", "KE"),
        ("00254712345678", "NG"),
        (SAFARICOM, "UG"),
    ],
)
def test_every_spelling_is_one_number(text: str, region: str | None) -> None:
    assert parse_msisdn(text, region) == SAFARICOM


@pytest.mark.parametrize(
    ("text", "region", "reason"),
    [
        ("", None, "empty"),
        (" \u200b-", "KE", "empty"),
        ("0712FLOWER", "KE", "letters"),
        ("tel:+254712345678", "KE", "letters"),
        ("+254712345678x12", "KE", "extension"),
        ("+254712345678 ext. 12", "KE", "extension"),
        ("+254712345678;ext=12", "KE", "extension"),
        ("+254712345678*", None, "invalid_characters"),
        ("+254+712345678", None, "invalid_characters"),
        ("+254712345678\x00", None, "invalid_characters"),
        ("0712345678", None, "not_e164"),
        ("254712345678", None, "not_e164"),
        ("00254712345678", None, "not_e164"),
        ("+999712345678", None, "unknown_country_code"),
        ("+0712345678", None, "unknown_country_code"),
        ("+", None, "invalid_characters"),
        ("+25471", None, "too_short"),
        ("07123456", "UG", "too_short"),
        ("+2547123456789", None, "too_long"),
        ("+254712345678901", None, "too_long"),
        ("+2547123456789012", None, "too_long"),
        ("7" * 1_000_000, "KE", "too_long"),
        ("+254202012345", None, "not_mobile"),
        ("40404", "KE", "premium_or_short"),
        ("40404", None, "premium_or_short"),
        ("+254900223456", None, "premium_or_short"),
        ("+254800223456", None, "premium_or_short"),
        ("+22507123456", None, "old_numbering_plan"),
        ("07123456", "CI", "old_numbering_plan"),
        ("+22961234567", None, "old_numbering_plan"),
        ("+25471234567", None, "too_short"),
        ("+244444444444", None, "invalid_for_country"),
    ],
)
def test_refusals_have_a_reason(text: str, region: str | None, reason: str) -> None:
    with pytest.raises(InvalidMsisdn) as refused:
        parse_msisdn(text, region)
    assert refused.value.reason == reason
    assert str(refused.value) == REASONS[reason]


@pytest.mark.parametrize("kept", ["+2250707123456", "+2290195123456", "+242061234567"])
def test_a_zero_that_belongs_to_the_number_stays(kept: str) -> None:
    assert parse_msisdn(kept) == kept


def test_gabons_two_spellings_are_one_subscriber() -> None:
    assert parse_msisdn("+24106031234") == parse_msisdn("+2416031234") == "+2416031234"
    assert parse_msisdn("06031234", "GA") == "+2416031234"
    assert parse_msisdn("+24166031234") == "+24166031234"


@pytest.mark.parametrize(
    ("text", "region", "meant"),
    [
        ("+22501123456", None, "+2250101123456"),
        ("+22505123456", None, "+2250505123456"),
        ("07123456", "CI", "+2250707123456"),
        ("+22547123456", None, "+2250747123456"),
        ("+22961234567", None, "+2290161234567"),
        ("61234567", "BJ", "+2290161234567"),
        ("254712345678", None, SAFARICOM),
        ("00254712345678", None, SAFARICOM),
        ("254712345678.0", None, SAFARICOM),
        ("712345678.00", "KE", SAFARICOM),
        ("712345678.0", None, None),
        ("0712345678", None, None),
        ("712345678", None, None),
        ("+25471234567", None, None),
        ("+22520123456", None, None),
        ("0712FLOWER", "KE", None),
    ],
)
def test_only_what_is_certain_is_suggested(text: str, region: str | None, meant: str | None) -> None:
    assert suggest(text, region) == meant


def test_the_countries_are_the_54_and_their_calling_codes_the_librarys() -> None:
    assert len(AFRICAN_COUNTRIES) == len(set(AFRICAN_COUNTRIES.values())) == 54
    for country, code in AFRICAN_COUNTRIES.items():
        assert phonenumbers.country_code_for_region(country) == int(code)
    assert not {"262", "290"} & set(AFRICAN_COUNTRIES.values())


def _example(country: str) -> str:
    example = phonenumbers.example_number_for_type(country, PhoneNumberType.MOBILE)
    assert example is not None
    return phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)


@pytest.mark.parametrize("country", AFRICAN_COUNTRIES)
def test_each_countrys_example_mobile_is_its_own(country: str) -> None:
    msisdn = parse_msisdn(_example(country))
    assert country_of(msisdn) == country
    assert parse_msisdn(msisdn) == msisdn


def test_numbers_elsewhere_are_valid_and_know_their_country() -> None:
    assert country_of(parse_msisdn("+262692123456")) == "RE"
    assert country_of(parse_msisdn("+12015550123")) == "US"
    with pytest.raises(ValueError, match=r"E\.164"):
        country_of(Msisdn("nonsense"))


@st.composite
def _numbers(draw: st.DrawFn) -> str:
    """Numbers around the real ranges: a few digits of an example, the rest at random."""
    country, code = draw(st.sampled_from(sorted(AFRICAN_COUNTRIES.items())))
    example = _example(country).removeprefix(f"+{code}")
    kept = draw(st.integers(0, len(example)))
    length = draw(st.integers(max(kept, 5), 11))
    rest = draw(st.text("0123456789", min_size=length - kept, max_size=length - kept))
    return f"+{code}{example[:kept]}{rest}"


@given(_numbers())
def test_validity_is_libphonenumbers(text: str) -> None:
    try:
        number = phonenumbers.parse(text)
        valid = phonenumbers.is_valid_number(number) and phonenumbers.number_type(number) in (
            PhoneNumberType.MOBILE,
            PhoneNumberType.FIXED_LINE_OR_MOBILE,
        )
    except phonenumbers.NumberParseException:
        valid = False
    if not valid:
        with pytest.raises(InvalidMsisdn):
            parse_msisdn(text)
        return
    msisdn = parse_msisdn(text)
    assert parse_msisdn(msisdn) == msisdn
    spelled = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    assert msisdn == spelled or (msisdn.startswith("+241") and spelled == "+2410" + msisdn[4:])


@given(
    st.sampled_from(sorted(AFRICAN_COUNTRIES)),
    st.integers(0, 6),
    st.text("0123456789", max_size=10),
    st.sampled_from(["{national}", "0{national}", "{code}{national}", "{code}0{national}"]),
)
def test_a_countrys_own_spelling_is_read_as_libphonenumber_reads_it(
    country: str, kept: int, tail: str, form: str
) -> None:
    example = phonenumbers.example_number_for_type(country, PhoneNumberType.MOBILE)
    assert example is not None
    national = (phonenumbers.national_significant_number(example)[:kept] + tail)[:10]
    text = form.format(code=AFRICAN_COUNTRIES[country], national=national)
    quick = _quick_national(text, country)
    if quick is not None:
        found = phonenumbers.parse(text, country)
        assert phonenumbers.is_valid_number(found)
        assert quick == parse_msisdn(
            f"+{found.country_code}{phonenumbers.national_significant_number(found)}"
        )


@given(st.text(max_size=80), st.sampled_from([None, "KE", "CI", "ZA"]))
def test_any_text_is_a_number_or_refused_with_a_reason(text: str, region: str | None) -> None:
    try:
        outcome: str = parse_msisdn(text, region)
    except InvalidMsisdn as refused:
        outcome = refused.reason
    assert outcome in REASONS or re.fullmatch(r"\+[0-9]{7,15}", outcome)
    assert re.fullmatch(r"(\+[0-9]{7,15})?", suggest(text, region) or "")


def test_a_mask_keeps_four_and_two_digits() -> None:
    assert mask("+254712345689") == "2547******89"
    assert mask("254712345689") == "2547******89"
    assert mask("+123") == "***"
    assert mask("") == ""
