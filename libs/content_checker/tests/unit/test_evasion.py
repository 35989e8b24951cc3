"""The two promises at once: no dress hides a blocked word, and no ordinary text is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sema_content_checker import Rule, RuleSet, check, check_template
from sema_content_checker.confusables import CONFUSABLES
from tests.kit.texts import ORDINARY, seed_rules

# Words that are parts of many ordinary ones, or of a number, or look like another.
TREACHEROUS = """
ass arse tit tits cock dick cum anal sex rape hoe penis nude cunt sod con pute salope viado caralho kuma mboo
turd slut damn hell scam bomb gun fag cul bite merda puta
""".split()  # noqa: SIM905

STRICT = RuleSet(
    "strict", [*seed_rules(), *(Rule("word", word) for word in (*TREACHEROUS, "419 deal", "ሰላም"))]
)

BLOCKED = ("shit", "fuck", "malaya", "putain", "matako", "enculé", "free money", "ass", "asshole")
RULES = RuleSet("1", [*(Rule("word", word) for word in BLOCKED), Rule("shortener", "bit.ly")])

LEET = {"a": "4@", "e": "3", "i": "1!|", "o": "0", "s": "5$", "t": "7", "l": "1|", "b": "8"}
LOOKALIKES = {
    letter: [lookalike for lookalike, meant in CONFUSABLES.items() if meant == letter]
    + [_full, _bold, _circled]
    for letter, _full, _bold, _circled in (
        (chr(97 + n), chr(0xFF41 + n), chr(0x1D41A + n), chr(0x24D0 + n)) for n in range(26)
    )
}
INVISIBLE = [
    "\u200b",
    "\u200c",
    "\u200d",
    "\u00ad",
    "\u2060",
    "\ufeff",
    "\ufe0f",
    "\u034f",
    "\u3164",
    "\u202e",
    "\u202c",
]
MARKS = ["\u0301", "\u0336", "\u0489", "\u20dd"]
SEPARATORS = [" ", ".", "-", "_", "*", "  ", " - ", "\u00a0", "\n", "·", "~"]


@st.composite
def dressed(draw: st.DrawFn, word: str) -> str:
    """The word in any mix of case, look-alikes, digits for at most half its letters, marks, invisible characters, and
    with its letters pulled apart or not."""
    plain = word.replace("é", "e")
    digits = sum(map(str.isalpha, plain)) // 2
    shown = []
    for letter in plain:
        if letter == " ":
            shown.append(draw(st.sampled_from([" ", "  ", "\n", "-"])))
            continue
        how = draw(st.sampled_from(["plain", "upper", "lookalike", "leet"]))
        if how == "upper":
            letter = letter.upper()
        elif how == "lookalike":
            letter = draw(st.sampled_from(LOOKALIKES[letter]))
        elif how == "leet" and letter in LEET and digits:
            letter = draw(st.sampled_from(LEET[letter]))
            digits -= 1
        shown.append(
            letter + draw(st.sampled_from(["", "", "", *MARKS])) + draw(st.sampled_from(["", "", *INVISIBLE]))
        )
    between = draw(st.sampled_from(["", "", *SEPARATORS]))
    return between.join(shown)


@given(st.data(), st.sampled_from(BLOCKED), st.sampled_from(["", "Dear Jane, ", "ok: ", "(", "🎉", "قال "]))
def test_no_mix_of_dresses_hides_a_blocked_word(data: st.DataObject, word: str, before: str) -> None:
    text = f"{before}{data.draw(dressed(word))} {data.draw(st.sampled_from(['', 'today', '...', 'ok?']))}"
    assert "blocklist" in {reason.check for reason in check(text, RULES).reasons}, ascii(text)


@pytest.mark.parametrize(
    "text",
    ["sh it happens", "fu ck", "s h it", "f u ck off", "fr ee mon ey", "FUCK", "shlt", "$h!t", "a s s"],
)
def test_letters_partly_pulled_apart_are_found(text: str) -> None:
    assert not check(text, RULES).allowed


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_text_passes_the_strictest_rules(text: str) -> None:
    assert check(text, STRICT).reasons == ()


HOST_DRESSES = (
    "bit.ly/x",
    "BIT.LY/x",
    "https://bit.ly/x",
    "hxxps://bit[.]ly/x",
    "http://www.bit.ly",
    "bit(dot)ly/x",
    "bit dot ly",
    "bit [dot] ly",
    "bit . ly/x",
    "bit .ly/x",
    "bit. ly/x",
    "b i t . l y / x",
    "ｂｉｔ．ｌｙ/x",
    "bit。ly/x",
    "bit｡ly/x",
    "bit․ly/x",
    "bit·ly/x",
    "bit\u200b.\u200bly/x",
    "bіt.ly/x",
    "xn--bt-nja.ly/x",
    "http://xn--bt-hoc.ly/x",
    "bit%2ely/x",
    "http://a.example@bit.ly/x",
    "go.bit.ly/x",
)


@pytest.mark.parametrize("text", HOST_DRESSES)
def test_a_shortener_is_found_in_any_dress(text: str) -> None:
    assert "url_shortener" in {reason.check for reason in check(f"Pay at {text} now", RULES).reasons}


@pytest.mark.parametrize(
    "text", ["bit.lyon.example", "my-bit.ly.example", "rabbit.ly", "bit-ly", "b1t.ly", "a bit. Lyon", "bitly"]
)
def test_what_is_no_shortener_passes(text: str) -> None:
    assert check(f"Pay at {text} now", RULES).allowed


@pytest.mark.parametrize(
    ("template", "allowed"),
    [
        ("Dear {{name}}, your {{ass}} is ready", True),
        ("Dear {{name}}, pay KES{{amount}} by {{due date}}", True),
        ("sh{{empty}}it {{name}}", False),
        ("Go to bit.{{x}}ly/a", False),
        ("Dear {name}, fuck", False),
    ],
)
def test_a_template_is_judged_without_its_fields(template: str, allowed: bool) -> None:
    assert check_template(template, RULES).allowed is allowed
