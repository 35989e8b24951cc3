"""How an SMS is cut into segments, the unit of price (3GPP TS 23.038 and 23.040).

Counted on the text as it is submitted, after every substitution. Concatenated segments are counted with the
six-octet header (8-bit reference), as aggregators bill them.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

Encoding = Literal["GSM-7", "UCS-2"]

MAX_SEGMENTS: Final = 10  # where gateways cap: 1,530 GSM-7 or 670 UCS-2 units

# TS 23.038 §6.2.1, in code order, without the escape at 0x1B.
GSM_DEFAULT: Final = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM_EXTENSION: Final = "\f^{}\\[~]|€"  # two septets each: the escape, then the code

_SINGLE: Final[dict[Encoding, int]] = {"GSM-7": 160, "UCS-2": 70}
_PART: Final[dict[Encoding, int]] = {"GSM-7": 153, "UCS-2": 67}

_ESCAPE: Final = "\x1b"
_default = re.escape(GSM_DEFAULT)
_extension = re.escape(GSM_EXTENSION)
_is_default: Final = re.compile(f"[{_default}]+").fullmatch
_is_gsm: Final = re.compile(f"[{_default}{_extension}]+").fullmatch
_extended: Final = re.compile(f"[{_extension}]")
_GSM: Final = frozenset(GSM_DEFAULT + GSM_EXTENSION)


@dataclass(frozen=True, slots=True)
class Segments:
    """`units` are septets (GSM-7) or UTF-16 code units (UCS-2); `offenders` each character, once and in order
    of appearance, that is not GSM-7 and so makes the whole text UCS-2."""

    encoding: Encoding
    units: int
    segments: int
    offenders: tuple[str, ...] = ()


def measure(text: str) -> Segments:
    """Encoding, units and segments of a text of any length; ValueError when it is empty.

    A two-unit character (escape pair, surrogate pair) is never cut in two: it moves to the next segment.
    """
    if _is_default(text):  # nearly every text, and no pair in it: a division will do
        units = len(text)
        return Segments("GSM-7", units, 1 if units <= _SINGLE["GSM-7"] else -(-units // _PART["GSM-7"]))
    if not text:
        raise ValueError("an empty text is no SMS")
    if _is_gsm(text):
        septets = _extended.sub(rf"{_ESCAPE}\g<0>", text)
        cut = _count("GSM-7", len(septets), lambda last: septets[last] == _ESCAPE)
        return Segments("GSM-7", len(septets), cut)
    utf16 = text.encode("utf-16-be", "surrogatepass")
    cut = _count("UCS-2", len(utf16) // 2, lambda last: utf16[2 * last] & 0xFC == 0xD8)
    return Segments("UCS-2", len(utf16) // 2, cut, tuple(c for c in dict.fromkeys(text) if c not in _GSM))


def _count(encoding: Encoding, units: int, opens_pair: Callable[[int], bool]) -> int:
    """Segments of so many units, filled greedily; `opens_pair(i)`: unit i belongs with unit i + 1."""
    if units <= _SINGLE[encoding]:
        return 1
    count, start = 0, 0
    while start < units:
        start += _PART[encoding]
        if start < units and opens_pair(start - 1):
            start -= 1
        count += 1
    return count


MAX_ADVICE: Final = 10


@dataclass(frozen=True, slots=True)
class Advice:
    """A character, with its combining marks, that forces UCS-2; `detail` says in a sentence what to do.

    `replacement` is what to write instead: "" is to leave it out, None that GSM-7 has nothing for it.
    """

    character: str
    replacement: str | None
    detail: str


# What neither Unicode's decompositions nor its categories (space, dash, format) give.
_REPLACEMENTS: Final = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u2039\u203a`´ʼ", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033«»", '"'),
    **dict.fromkeys("•‣▪●·−", "-"),
    "\t": " ", "⁄": "/", "×": "x", "÷": "/", "°": " deg", "©": "(c)", "®": "(R)", "₦": "NGN", "₵": "GHS",
    "œ": "oe", "Œ": "OE", "ŋ": "ng", "Ŋ": "NG", "ɓ": "b", "Ɓ": "B", "ɗ": "d", "Ɗ": "D", "ƙ": "k", "Ƙ": "K",
    "ƴ": "y", "Ƴ": "Y", "Α": "A", "Β": "B", "Ε": "E", "Ι": "I", "Ο": "O",
}  # fmt: skip
_BY_CATEGORY: Final = {"Zs": " ", "Zl": "\n", "Zp": "\n", "Pd": "-", "Cf": ""}
_MARKS: Final = "\u0300-\u036f"
_cluster: Final = re.compile(f"[^{_MARKS}][{_MARKS}]+|[^{_default}{_extension}]")


def advice(text: str) -> list[Advice]:
    """What makes a text UCS-2: each culprit, once, in order of appearance, at most MAX_ADVICE of them.

    Empty for a GSM-7 text. The text itself is never changed: what to send stays the sender's decision.
    """
    clusters = dict.fromkeys(_cluster.findall(text))
    return [_advise(cluster) for cluster in list(clusters)[:MAX_ADVICE]]


def _advise(cluster: str) -> Advice:
    replacement = _replacement(cluster)
    name = " + ".join(f"U+{ord(c):04X} {unicodedata.name(c, '').lower()}".rstrip() for c in cluster)
    match replacement:
        case None:
            instead = "GSM-7 has nothing like it, without it the text may cost less"
        case "":
            instead = "leave it out"
        case _:
            instead = f"write {'a space' if replacement == ' ' else repr(replacement)} instead"
    return Advice(cluster, replacement, f"{name} forces UCS-2: {instead}")


def _replacement(cluster: str) -> str | None:
    composed = unicodedata.normalize("NFC", cluster)
    if _is_gsm(composed):
        return composed
    pieces = []
    for character in unicodedata.normalize("NFKD", composed):
        category = unicodedata.category(character)
        if category == "Mn":
            continue
        piece = character
        if not _is_gsm(character):
            piece = _REPLACEMENTS.get(character, _BY_CATEGORY.get(category, character))
        pieces.append(piece)
    replacement = "".join(pieces)
    return replacement if not replacement or _is_gsm(replacement) else None
