"""Phone numbers: one spelling for each, `+` and digits (E.164), or a stable reason why it is none.

Valid means that libphonenumber calls it a valid number that can be a mobile; being merely possible is not
enough. Nothing here knows MNOs (see `networks`), and no message of an error holds the number itself.
"""

import re
import unicodedata
from functools import cache, lru_cache
from typing import Final, NewType

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumber, PhoneNumberType, ValidationResult
from phonenumbers.phonemetadata import PhoneNumberDesc

Msisdn = NewType("Msisdn", str)

# The 54 African members of the United Nations. +262 (Réunion, Mayotte) and +290 (Saint Helena) are not among
# them; +212 is shared with Western Sahara, whose numbers count as Morocco's.
AFRICAN_COUNTRIES: Final = {
    "DZ": "213", "AO": "244", "BJ": "229", "BW": "267", "BF": "226", "BI": "257", "CV": "238", "CM": "237",
    "CF": "236", "TD": "235", "KM": "269", "CG": "242", "CI": "225", "CD": "243", "DJ": "253", "EG": "20",
    "GQ": "240", "ER": "291", "SZ": "268", "ET": "251", "GA": "241", "GM": "220", "GH": "233", "GN": "224",
    "GW": "245", "KE": "254", "LS": "266", "LR": "231", "LY": "218", "MG": "261", "MW": "265", "ML": "223",
    "MR": "222", "MU": "230", "MA": "212", "MZ": "258", "NA": "264", "NE": "227", "NG": "234", "RW": "250",
    "SN": "221", "SC": "248", "SL": "232", "SO": "252", "ZA": "27", "SS": "211", "SD": "249", "ST": "239",
    "TZ": "255", "TG": "228", "TN": "216", "UG": "256", "ZM": "260", "ZW": "263",
}  # fmt: skip
_COUNTRY_BY_CODE: Final = {code: country for country, code in AFRICAN_COUNTRIES.items()}

REASONS: Final = {
    "empty": "there is no number",
    "letters": "a number has no letters",
    "extension": "a number with an extension cannot receive an SMS",
    "invalid_characters": "a number has a plus, digits, and spaces or dashes between them, nothing else",
    "not_e164": "write it in full: +, the country code, the number, such as +254712345678",
    "unknown_country_code": "no country has this code",
    "too_short": "it has too few digits",
    "too_long": "it has too many digits",
    "not_mobile": "it is not a mobile number",
    "premium_or_short": "short codes and premium or toll-free numbers cannot be sent to",
    "old_numbering_plan": "it is written in a numbering plan that the country has given up",
    "invalid_for_country": "no such range is in use in its country",
}


class InvalidMsisdn(ValueError):
    """Not a mobile's number: `reason` is a key of REASONS, the text its sentence, without the number."""

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


def parse_msisdn(text: str, region: str | None = None) -> Msisdn:
    """The number in E.164, or InvalidMsisdn.

    Without a region only the international form with `+` is taken: what `0712…` is depends on who reads it.
    With one (ISO 3166, such as "KE") national forms and a leading `00` are taken too, as lists have them.
    Spaces, dashes, brackets, invisible characters and digits of other scripts are understood in both.
    """
    return _quick(text) or _quick_national(text, region) or _parse_slowly(_tidy(text), region)


def mask(msisdn: str) -> str:
    """For logs: `+254712345689` is `2547******89`, and anything shorter than eight digits is all stars."""
    digits = msisdn.removeprefix("+")
    if len(digits) < 8:
        return "*" * len(digits)
    return f"{digits[:4]}{'*' * (len(digits) - 6)}{digits[-2:]}"


def country_of(msisdn: Msisdn) -> str:
    """ISO 3166 code of the number's country: one of AFRICAN_COUNTRIES, or whichever other it is of ("001" for
    numbers of no country); ValueError for what `parse_msisdn` never returned."""
    country = _COUNTRY_BY_CODE.get(msisdn[1:4]) or _COUNTRY_BY_CODE.get(msisdn[1:3])
    return country or _foreign_country(msisdn)


def suggest(text: str, region: str | None = None) -> Msisdn | None:
    """The number that was certainly meant by one which `parse_msisdn` refuses, or None.

    Certain are only: digits that lack their plus (or have 00 for it), mobiles of the plans that Benin and Côte
    d'Ivoire gave up, where each old number became exactly one new one, and numbers that a spreadsheet took for
    quantities (`254712345678.0`).
    """
    if (quantity := _QUANTITY.fullmatch(text.strip())) is not None:
        text = quantity[1]
        if (exact := _quick(text) or _quick_national(text, region)) is not None:
            return exact
    try:
        tidy = _tidy(text)
    except InvalidMsisdn:
        return None
    renumbered = _renumbered(tidy, region)
    if renumbered is None and tidy.startswith("+"):
        return None
    try:
        msisdn = _parse_slowly(renumbered or "+" + tidy.removeprefix("00"), region)
    except InvalidMsisdn:
        return None
    return msisdn if country_of(msisdn) in AFRICAN_COUNTRIES else None


# ---- the quick way: text that is E.164 already, judged by one regular expression per calling code

_plain: Final = re.compile(r"\+[1-9][0-9]{6,14}").fullmatch

# libphonenumber asks these first: a number that fits one of them is that, mobile pattern or not.
_BEFORE_MOBILE: Final = (
    "premium_rate", "toll_free", "shared_cost", "voip", "personal_number", "pager", "uan", "voicemail",
)  # fmt: skip


@cache
def _mobile_pattern(country: str) -> re.Pattern[str]:
    """libphonenumber's own patterns for the country's mobiles, as one that matches the national digits.

    It matches only what needs no interpretation: anything that could carry a national prefix is left to the
    slow way. A test holds it against the library on numbers of every range.
    """
    metadata = PhoneMetadata.metadata_for_region(country)
    if metadata is None or metadata.general_desc is None or metadata.mobile is None:
        raise LookupError(f"libphonenumber knows no mobiles of {country}")
    refused = [metadata.national_prefix_for_parsing] if metadata.national_prefix_for_parsing else []
    for kind in _BEFORE_MOBILE:
        desc: PhoneNumberDesc | None = getattr(metadata, kind)
        if desc is not None and desc.national_number_pattern:
            refused.append(f"(?:{desc.national_number_pattern})$")
    lengths = "|".join(rf"\d{{{length}}}$" for length in metadata.mobile.possible_length)
    not_refused = "".join(f"(?!{pattern})" for pattern in refused)
    general, mobile = metadata.general_desc.national_number_pattern, metadata.mobile.national_number_pattern
    return re.compile(f"{not_refused}(?={lengths})(?=(?:{general})$)(?:{mobile})$", re.ASCII)


@lru_cache(maxsize=4_096)  # some 1 MB: an API customer's numbers come back, a campaign's do no harm
def _quick(e164: str) -> Msisdn | None:
    if not _plain(e164):
        return None
    code = e164[1:4]
    country = _COUNTRY_BY_CODE.get(code)
    if country is None:
        code = e164[1:3]
        country = _COUNTRY_BY_CODE.get(code)
        if country is None:
            return None
    if not _mobile_pattern(country).match(e164[1 + len(code) :]):
        return None
    return _canonical(e164)


def _quick_national(text: str, region: str | None) -> Msisdn | None:
    """The ways in which a country's own people write its mobiles: 0712…, 712…, 254712… in a Kenyan list."""
    code = AFRICAN_COUNTRIES.get(region or "")
    if code is None or not (text.isascii() and text.isdigit()) or len(text) <= _SHORT_CODE_DIGITS:
        return None
    if text.startswith("00"):
        return None
    trunk_zero, longest = _plan(region or "")
    if text.startswith(code):
        return _quick("+" + text) if len(text) > longest else None
    if text.startswith("0") and trunk_zero:
        return _quick(f"+{code}{text[1:]}")
    return _quick(f"+{code}{text}")


@cache
def _plan(country: str) -> tuple[bool, int]:
    """Whether a leading zero is the country's trunk prefix, and how long its national numbers get."""
    metadata = PhoneMetadata.metadata_for_region(country)
    if metadata is None or metadata.general_desc is None:
        raise LookupError(f"libphonenumber knows no numbers of {country}")
    return metadata.national_prefix_for_parsing == "0", max(metadata.general_desc.possible_length)


def _canonical(e164: str) -> Msisdn:
    # Gabon's old mobiles are valid with and without the zero in front: one subscriber, so one spelling.
    if e164.startswith("+2410") and len(e164) == 12:
        return Msisdn("+241" + e164[5:])
    return Msisdn(e164)


# ---- the slow way: whatever people type

_QUANTITY: Final = re.compile(r"(\+?[0-9]{1,15})\.0+")
_EXTENSION: Final = re.compile(r"\d.*(?:x|ext\.?|extension|;ext=|#)\s*[:.]?\s*\d+$", re.IGNORECASE)
_SEPARATORS: Final = frozenset("().-/\t\n\r")
_MAX_TEXT: Final = 64  # characters; no spelling of fifteen digits needs as many
_MAX_DIGITS: Final = 15  # ITU-T E.164
_SHORT_CODE_DIGITS: Final = 6


def _tidy(text: str) -> str:
    """Digits with at most a plus in front; everything that only separates is gone."""
    if len(text) > _MAX_TEXT:
        raise InvalidMsisdn("too_long")
    kept = []
    for character in unicodedata.normalize("NFKC", text):
        if character in _SEPARATORS or unicodedata.category(character) in ("Zs", "Pd", "Cf"):
            continue
        kept.append(str(unicodedata.decimal(character)) if character.isdecimal() else character)
    tidy = "".join(kept)
    if not tidy:
        raise InvalidMsisdn("empty")
    if not re.fullmatch(r"\+?[0-9]+", tidy):
        if _EXTENSION.search(tidy):
            raise InvalidMsisdn("extension")
        raise InvalidMsisdn("letters" if any(map(str.isalpha, tidy)) else "invalid_characters")
    return tidy


def _parse_slowly(tidy: str, region: str | None) -> Msisdn:
    if region is not None and tidy.startswith("00"):
        # 00 is many countries' international prefix, but not Kenya's or Nigeria's: say it in a way all parse.
        tidy = "+" + tidy[2:]
    if not tidy.startswith("+"):
        if len(tidy) <= _SHORT_CODE_DIGITS:
            raise InvalidMsisdn("premium_or_short")
        if region is None:
            raise InvalidMsisdn("not_e164")
    elif len(tidy) > 1 + _MAX_DIGITS:
        raise InvalidMsisdn("too_long")
    try:
        number = phonenumbers.parse(tidy, region)
    except NumberParseException as error:
        raise InvalidMsisdn(_PARSE_REASONS.get(error.error_type, "too_short")) from None
    if not phonenumbers.is_valid_number(number):
        raise InvalidMsisdn("old_numbering_plan" if _renumbered(tidy, region) else _why_invalid(number))
    match phonenumbers.number_type(number):
        case PhoneNumberType.MOBILE | PhoneNumberType.FIXED_LINE_OR_MOBILE:
            return _canonical(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
        case PhoneNumberType.PREMIUM_RATE | PhoneNumberType.TOLL_FREE | PhoneNumberType.SHARED_COST:
            raise InvalidMsisdn("premium_or_short")
        case _:
            raise InvalidMsisdn("not_mobile")


_PARSE_REASONS: Final = {
    NumberParseException.INVALID_COUNTRY_CODE: "unknown_country_code",
    NumberParseException.TOO_LONG: "too_long",
}


def _why_invalid(number: PhoneNumber) -> str:
    match phonenumbers.is_possible_number_for_type_with_reason(number, PhoneNumberType.MOBILE):
        case ValidationResult.TOO_SHORT | ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
            return "too_short"
        case ValidationResult.TOO_LONG:
            return "too_long"
        case _:
            return "invalid_for_country"


# Benin, 30 November 2024: every number got 01 in front. Côte d'Ivoire, 31 January 2021: the first two digits
# of an old mobile tell its MNO (Moov, MTN, Orange), and that one its prefix.
_OLD_PLANS: Final = (
    ("BJ", "229", "01", re.compile(r"[4-69]\d{7}")),
    ("CI", "225", "01", re.compile(r"(?:0[1-3]|[4-7][0-3])\d{6}")),
    ("CI", "225", "05", re.compile(r"[04-9][4-6]\d{6}")),
    ("CI", "225", "07", re.compile(r"[04-9][7-9]\d{6}")),
)


def _renumbered(tidy: str, region: str | None) -> str | None:
    """The present number, E.164, of an old Beninese or Ivorian mobile (text as `_tidy` leaves it)."""
    for country, code, prefix, old in _OLD_PLANS:
        if tidy.startswith("+" + code):
            national = tidy[4:]
        elif region == country:
            national = tidy
        else:
            continue
        if old.fullmatch(national):
            return f"+{code}{prefix}{national}"
    return None


@lru_cache(maxsize=4_096)
def _foreign_country(msisdn: str) -> str:
    try:
        number = phonenumbers.parse(msisdn, None)
    except NumberParseException:
        raise ValueError("not an E.164 number") from None
    return phonenumbers.region_code_for_number(number) or "001"
