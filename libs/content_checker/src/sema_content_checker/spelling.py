"""Whether a candidate is what the rule means: where it stands, what is between its letters, what stands for them.

A candidate is a run of letters that spells a key; between those letters the text may have anything. Most
candidates are accidents ("pu*sh it*"), and the first question, is it a word of its own, ends them.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sema_content_checker import links
from sema_content_checker.folding import positions
from sema_content_checker.signals import DENIALS, Signal


@dataclass(frozen=True, slots=True)
class Entry:
    """`key` is what the automaton looks for; `letters` the same with its own digits; `gaps` before which letters
    the rule itself has a space or sign."""

    key: str
    letters: str
    gaps: frozenset[int]


@dataclass(frozen=True, slots=True)
class Word(Entry):
    value: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Phrase(Entry):
    signal: Signal


@dataclass(frozen=True, slots=True)
class Shortener(Entry):
    """`dots`: before which letters there must be a dot; none where the key has them `spelled`: bit dot ly."""

    domain: str
    dots: frozenset[int]
    spelled: bool


_SHORT: Final = (
    4  # letters; a shorter word pulled apart counts only where nothing else is pulled apart beside it
)
_WIDEST: Final = 3  # characters between two letters of one word
_NO_PIECE: Final = frozenset("aeiouy")  # a piece without any of them is no word
_DENIED_WITHIN: Final = 24  # characters before the phrase


class Reading:
    """One folded text, read with or without signs for letters; knows where each letter stands."""

    def __init__(self, folded: str, *, signs: bool) -> None:
        self._text = folded
        self._at = positions(folded, signs=signs)

    def spells(self, entry: Entry, start: int, end: int) -> bool:
        """Whether the letters start … end of the squeezed text are what the entry means."""
        at = self._at[start:end]
        before, after = self._text[: at[0]][-1:], self._text[at[-1] + 1 : at[-1] + 2]
        whole = not (before.isalnum() or after.isalnum())
        if not whole and not (isinstance(entry, Word) and not entry.whole):
            return False
        if isinstance(entry, Shortener):
            return self._is_link(entry, at, before, after)
        gaps = _between(self._text, at)
        foreign = [offset for offset in gaps if offset not in entry.gaps]
        if isinstance(entry, Phrase):
            return not foreign and not (entry.signal.deniable and self._is_denied(at[0]))
        if foreign and not self._is_pulled_apart(at, gaps, foreign, whole):
            return False
        return _stands_for("".join([self._text[i] for i in at]), entry.letters)

    def _is_denied(self, start: int) -> bool:
        before = self._text[max(0, start - _DENIED_WITHIN) : start]
        return any(denial in before for denial in DENIALS)

    def _is_pulled_apart(self, at: list[int], gaps: dict[int, str], foreign: list[int], whole: bool) -> bool:
        """f r e e, f.r.e.e, fr*ee and f r ee are; "pus hit" and "U.S. hit" are not."""
        if any(len(gaps[offset]) > _WIDEST for offset in foreign):
            return False
        letters = len(at)
        single = all(offset in gaps for offset in range(1, letters))
        if single:
            if not whole:
                return False
            return letters >= _SHORT or not self._goes_on(at)
        if not whole:
            return False
        if all(" " not in gaps[offset] for offset in foreign):  # fr.ee, f*r*ee
            return letters >= _SHORT or not self._goes_on(at)
        if (
            any(not gaps[offset].isspace() for offset in foreign)
            or self._text[: at[0]].rstrip()[-1:].isdigit()
        ):
            return False  # a full stop between sentences; shillings after a number
        cuts = [0, *foreign, letters]
        pieces = ["".join([self._text[i] for i in at[a:b]]) for a, b in pairwise(cuts)]
        if sum(len(piece) == 1 for piece in pieces) > 1:
            return True
        return any(
            len(piece) > 1 and piece.isascii() and piece.isalpha() and _NO_PIECE.isdisjoint(piece)
            for piece in pieces
        )

    def _goes_on(self, at: list[int]) -> bool:
        """Whether letters beside it are pulled apart too, so that it is but a part: a.s.s of a.s.s.e.t."""
        before = self._text[max(0, at[0] - _WIDEST - 2) : at[0]].rstrip("-._* ,/")
        after = self._text[at[-1] + 1 : at[-1] + _WIDEST + 3].lstrip("-._* ,/")
        lone_before = before[-1:].isalnum() and not before[-2:-1].isalnum()
        lone_after = after[:1].isalnum() and not after[1:2].isalnum()
        return lone_before or lone_after

    def _is_link(self, entry: Shortener, at: list[int], before: str, after: str) -> bool:
        # The name of a link has no letters that others stand for: it would lead elsewhere.
        if "".join([self._text[i] for i in at]) != entry.letters:
            return False
        if before == "-" and self._text[: at[0] - 1][-1:].isalnum():
            return False  # my-bit.ly
        if after in ("-", ".") and self._text[at[-1] + 2 : at[-1] + 3].isalnum():
            return False  # bit.ly.example
        gaps = _between(self._text, at)
        apart = len(gaps) == len(at) - 1
        if entry.spelled:
            return all(offset in gaps for offset in entry.gaps)
        for offset, gap in gaps.items():
            if offset in entry.dots:
                if not links.is_dot(gap):
                    return False
                if gap == ". " and after != "/":
                    return (
                        False  # "Wait a bit. Ly will come": a sentence's end, unless it goes on like a link
                    )
            elif offset not in entry.gaps and not apart:
                return False
        return entry.dots <= gaps.keys()


def _between(text: str, at: list[int]) -> dict[int, str]:
    """What stands between letters that are not neighbours, by the second one's number."""
    if at[-1] - at[0] == len(at) - 1:
        return {}
    return {
        number: text[at[number - 1] + 1 : at[number]]
        for number in range(1, len(at))
        if at[number] - at[number - 1] > 1
    }


def _stands_for(typed: str, letters: str) -> bool:
    """Whether digits and signs stand for letters here: at least half are letters, or a price would curse.

    The rule's own digits stand for nothing but themselves: 419 is no word.
    """
    if typed == letters:
        return True
    replaced = 0
    for character, letter in zip(typed, letters, strict=True):
        if letter.isdigit() and character != letter:
            return False
        if not character.isalpha() and character != letter:
            replaced += 1
        elif character != letter and len(letters) < _SHORT:
            return False  # l for i, in a word too short to tell
    return 2 * replaced <= len(letters)
