"""Encoding and segments: 3GPP TS 23.038, counted as aggregators bill."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_common.values.segments import (
    GSM_DEFAULT,
    GSM_EXTENSION,
    MAX_ADVICE,
    MAX_SEGMENTS,
    Segments,
    advice,
    measure,
)

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"
KENYA = "\U0001f1f0\U0001f1ea"

# Three independent libraries agree on every one of these, but for the flag across a boundary (22), where
# one keeps whole graphemes together and we, as 3GPP asks, only whole pairs.
VECTORS = [
    ("1", "a" * 160, "GSM-7", 160, 1),
    ("2", "a" * 161, "GSM-7", 161, 2),
    ("3", "a" * 306, "GSM-7", 306, 2),
    ("3b", "a" * 307, "GSM-7", 307, 3),
    ("4", "a" * 1530, "GSM-7", 1530, 10),
    ("5", GSM_DEFAULT, "GSM-7", 127, 1),
    ("6", "^{}\\[~]|€", "GSM-7", 18, 1),
    ("7", "€" * 80, "GSM-7", 160, 1),
    ("7b", "€" * 81, "GSM-7", 162, 2),
    ("8", "a" * 152 + "€" + "a" * 152, "GSM-7", 306, 3),
    ("9", "a" * 159 + "{", "GSM-7", 161, 2),
    ("10", "a\fb", "GSM-7", 4, 1),
    ("11", "a\r\nb", "GSM-7", 4, 1),
    ("12", "ΔΦΓΛΩΠΨΣΘΞ", "GSM-7", 10, 1),
    ("12b", "\u0391", "UCS-2", 1, 1),
    ("13", "FRANÇAIS", "GSM-7", 8, 1),
    ("13b", "français", "UCS-2", 8, 1),
    ("14", unicodedata.normalize("NFC", "café"), "GSM-7", 4, 1),
    ("14b", unicodedata.normalize("NFD", "café"), "UCS-2", 5, 1),
    ("15", "a\tb", "UCS-2", 3, 1),
    ("15b", "`", "UCS-2", 1, 1),
    ("15c", "KES\u00a0100", "UCS-2", 7, 1),
    ("15d", "Don’t", "UCS-2", 5, 1),
    ("15e", "₦500", "UCS-2", 4, 1),
    ("16", "😀" * 35, "UCS-2", 70, 1),
    ("16b", "😀" * 36, "UCS-2", 72, 2),
    ("17", "ж" * 70, "UCS-2", 70, 1),
    ("17b", "ж" * 71, "UCS-2", 71, 2),
    ("17c", "ж" * 134, "UCS-2", 134, 2),
    ("17d", "ж" * 135, "UCS-2", 135, 3),
    ("18", "ж" * 66 + "😀" + "ж" * 66, "UCS-2", 134, 3),
    ("19", "a" * 160 + "ж", "UCS-2", 161, 3),
    ("20", FAMILY, "UCS-2", 11, 1),
    ("20b", KENYA, "UCS-2", 4, 1),
    ("21", "a" * 60 + FAMILY, "UCS-2", 71, 2),
    ("22", "ж" * 65 + KENYA + "ж" * 65, "UCS-2", 134, 2),
    ("23", "Habari! Malipo yako ya KES 1,500 yamepokelewa. Asante.", "GSM-7", 54, 1),
    ("24", "ሰላም", "UCS-2", 3, 1),
    ("24b", "\u1eb8 k\u00e0\u00e1b\u1ecd\u0300", "UCS-2", 8, 1),
]


@pytest.mark.parametrize(
    ("text", "encoding", "units", "segments"), [pytest.param(*v[1:], id=v[0]) for v in VECTORS]
)
def test_vectors(text: str, encoding: str, units: int, segments: int) -> None:
    measured = measure(text)
    assert (measured.encoding, measured.units, measured.segments) == (encoding, units, segments)


def test_the_largest_accepted_texts_fill_ten_segments() -> None:
    assert measure("a" * 1530).segments == measure("ж" * 670).segments == MAX_SEGMENTS
    assert measure("a" * 1531).segments == measure("ж" * 671).segments == MAX_SEGMENTS + 1


def test_offenders_are_what_forces_ucs2_once_and_in_order() -> None:
    assert measure("Don’t pay ₦500, don’t").offenders == ("’", "₦")
    assert measure("a" * 500 + "€").offenders == ()


def test_an_empty_text_is_no_sms() -> None:
    with pytest.raises(ValueError, match="empty"):
        measure("")


def test_a_megabyte_is_measured_without_a_loop_over_its_characters() -> None:
    assert measure("€" * 500_000) == Segments("GSM-7", 1_000_000, 6_579)  # 76 pairs fit 153 septets


texts = st.text(
    st.one_of(
        st.sampled_from(GSM_DEFAULT),
        st.sampled_from(GSM_EXTENSION),
        st.characters(),
        st.sampled_from("😀ж\ud83d"),
    ),
    min_size=1,
    max_size=400,
)


@given(texts)
def test_units_and_segments_bound_each_other(text: str) -> None:
    measured = measure(text)
    single, part = (160, 153) if measured.encoding == "GSM-7" else (70, 67)
    assert len(text) <= measured.units <= 2 * len(text)
    if measured.units <= single:
        assert measured.segments == 1
    else:
        # A part loses at most one unit to a pair that does not fit.
        assert -(-measured.units // part) <= measured.segments <= -(-measured.units // (part - 1))


@given(texts)
def test_segments_equal_those_of_packing_character_by_character(text: str) -> None:
    measured = measure(text)
    # As UTF-16 sees it: two lone surrogates side by side are one character.
    text = text.encode("utf-16-be", "surrogatepass").decode("utf-16-be", "surrogatepass")
    if measured.encoding == "GSM-7":
        widths, single, part = [2 if c in GSM_EXTENSION else 1 for c in text], 160, 153
    else:
        widths, single, part = [2 if ord(c) > 0xFFFF else 1 for c in text], 70, 67
    count, room = 1, single if sum(widths) <= single else part
    for width in widths:
        if width > room:
            count, room = count + 1, part
        room -= width
    assert (measured.units, measured.segments) == (sum(widths), count)


@given(texts, texts)
def test_a_longer_text_never_costs_less(first: str, second: str) -> None:
    both, alone = measure(first + second), measure(first)
    assert both.segments >= alone.segments
    assert (both.encoding == "GSM-7") == (alone.encoding == measure(second).encoding == "GSM-7")


@given(texts)
def test_offenders_are_exactly_the_characters_outside_gsm7(text: str) -> None:
    measured = measure(text)
    assert set(measured.offenders) == set(text) - set(GSM_DEFAULT + GSM_EXTENSION)
    assert (measured.encoding == "UCS-2") == bool(measured.offenders)


@pytest.mark.parametrize(
    ("text", "character", "replacement"),
    [
        ("Don’t", "’", "'"),
        ("a — b", "—", "-"),
        ("KES\u00a0100", "\u00a0", " "),
        ("wait…", "…", "..."),
        ("zero\u200bwidth", "\u200b", ""),
        ("ﬁne", "ﬁ", "fi"),
        ("français", "ç", "c"),
        ("cœur", "œ", "oe"),
        ("₦500", "₦", "NGN"),
        ("ọja", "ọ", "o"),
        ("cafe\u0301", "e\u0301", "é"),
        ("ɗan", "ɗ", "d"),
        ("½ off", "½", "1/2"),
        ("Hi 😀", "😀", None),
        ("ሰ", "ሰ", None),
    ],
)
def test_advice_names_the_culprit_and_what_to_write(
    text: str, character: str, replacement: str | None
) -> None:
    [only] = advice(text)
    assert (only.character, only.replacement) == (character, replacement)
    assert f"U+{ord(character[0]):04X}" in only.detail


@given(texts)
def test_advice_is_due_exactly_when_the_text_is_ucs2_and_leads_to_gsm7(text: str) -> None:
    given_advice = advice(text)
    assert bool(given_advice) == (measure(text).encoding == "UCS-2")
    assert len(given_advice) <= MAX_ADVICE
    for item in given_advice:
        if item.replacement:
            assert measure(item.replacement).encoding == "GSM-7"
