"""One reading of a text, whatever it is dressed up as. For matching only: a folded text is never sent."""

import unicodedata
from collections.abc import Iterable, Mapping
from itertools import compress
from typing import Final

from sema_content_checker.confusables import CONFUSABLES

_INVISIBLE_LETTERS: Final = (
    "\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # fillers and blanks that are no spaces
)
_REMEMBERED: Final = 20_000  # characters; an attacker's whole Unicode must not stay in memory


class _Fold(dict[int, str]):
    """str.translate's table, filled as characters are met.

    Look-alikes become Latin, marks and invisibles nothing, all else its case-folded form.
    """

    def __missing__(self, code: int) -> str:
        # A look-alike is one before it is decomposed: Ϲ passes for C, its decomposition Σ does not.
        folded = "".join(map(self._piece, unicodedata.normalize("NFKD", chr(code))))
        if len(self) < _REMEMBERED:
            self[code] = folded
        return folded

    def _piece(self, character: str) -> str:
        if ord(character) in self:
            return self[ord(character)]
        if unicodedata.category(character) in ("Mn", "Me", "Cf"):
            return ""
        if unicodedata.category(character) == "Zs":
            return " "
        folded = character.casefold()
        return folded if folded == character else folded.translate(self)


_FOLD: Final = _Fold({ord(character): letter for character, letter in CONFUSABLES.items()})
_FOLD.update((ord(character), "") for character in _INVISIBLE_LETTERS)

# Digits and signs written for letters. i and l are one letter here: I, l, 1, ! and | look alike.
_LEET_DIGITS: Final = str.maketrans("01345789l", "oieastbgi")
_LEET_SIGNS: Final = str.maketrans("@$!|€", "asiie")
_LEET: Final = _LEET_DIGITS | _LEET_SIGNS


def _to_letters(table: Mapping[int, int]) -> dict[int, str]:
    return {code: chr(letter) for code, letter in table.items()}


def fold(text: str) -> str:
    """Small Latin letters wherever the text only looks different, no marks, no invisibles, single spaces."""
    if not text.isascii():
        text = text.translate(_FOLD)
    return " ".join(text.lower().split())


def unleet(folded: str) -> str:
    """A folded text, character by character, with digits and signs read as letters."""
    return folded.translate(_LEET)


class _Squeeze(dict[int, str]):
    """str.translate's table: letters and digits stay (digits as letters), all else is gone."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        kept = character if character.isalnum() else ""
        if len(self) < _REMEMBERED:
            self[code] = kept
        return kept


_SQUEEZE: Final = _Squeeze(
    {code: chr(code) if chr(code).isalnum() else "" for code in range(128)} | _to_letters(_LEET_DIGITS)
)
_SQUEEZE_SIGNS: Final = _Squeeze(_SQUEEZE | _to_letters(_LEET_SIGNS))


def has_signs(folded: str) -> bool:
    """Whether something may be a letter that is no letter or digit: @, $, !, |, €."""
    return "!" in folded or "@" in folded or "$" in folded or "|" in folded or "€" in folded


def squeeze(folded: str, *, signs: bool) -> str:
    """The letters of a folded text in a row, digits read as letters, and with `signs` signs too."""
    return folded.translate(_SQUEEZE_SIGNS if signs else _SQUEEZE)


def positions(folded: str, *, signs: bool) -> list[int]:
    """Where in the folded text each letter of `squeeze` stands."""
    if signs:
        kept: Iterable[object] = map(_SQUEEZE_SIGNS.__getitem__, map(ord, folded))
    else:
        kept = map(str.isalnum, folded)
    return list(compress(range(len(folded)), kept))


def skeleton(text: str) -> str:
    """Sender IDs that a reader could take for each other have one skeleton (in the manner of TR39).

    Case, accents, look-alikes of other scripts, invisible characters, digits for letters, and whatever is
    neither letter nor digit are gone; rn reads as m, vv as w. Compare skeletons, never store or show one.
    """
    letters = "".join(filter(str.isalnum, unleet(fold(text))))
    return letters.replace("rn", "m").replace("vv", "w")
