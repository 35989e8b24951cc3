"""One reading of a text, whatever it is dressed up as. For matching only: a folded text is never sent."""

import unicodedata
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
        character = chr(code)
        if unicodedata.category(character) in ("Mn", "Me", "Cf"):
            folded = ""
        elif unicodedata.category(character) == "Zs":
            folded = " "
        else:
            folded = character.casefold()
        if len(self) < _REMEMBERED:
            self[code] = folded
        return folded


_FOLD: Final = _Fold({ord(character): letter for character, letter in CONFUSABLES.items()})
_FOLD.update((ord(character), "") for character in _INVISIBLE_LETTERS)

# Digits and signs written for letters. i and l are one letter here: I, l, 1, ! and | look alike.
_LEET: Final = str.maketrans("013457890@$!|l", "oieastb" + "goasiii")


def fold(text: str) -> str:
    """Small Latin letters wherever the text only looks different, no marks, no invisibles, single spaces."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).translate(_FOLD)
    return " ".join(text.lower().split())


def unleet(folded: str) -> str:
    """A folded text, character by character, with digits and signs read as letters."""
    return folded.translate(_LEET)


def skeleton(text: str) -> str:
    """Sender IDs that a reader could take for each other have one skeleton (in the manner of TR39).

    Case, accents, look-alikes of other scripts, invisible characters, digits for letters, and whatever is
    neither letter nor digit are gone; rn reads as m, vv as w. Compare skeletons, never store or show one.
    """
    letters = "".join(filter(str.isalnum, unleet(fold(text))))
    return letters.replace("rn", "m").replace("vv", "w")
