"""Links in a folded text: where they lead, and whether they hide it."""

import re
from typing import Final

from sema_content_checker.folding import fold

_SCHEME: Final = re.compile(r"h(?:tt|xx)ps?[:;]/+([^\s/?#]*)")
_ADDRESS: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_PUNYCODE: Final = re.compile(r"xn--([a-z0-9-]{1,59})")

# What stands for a dot between two labels of a host: ".", " . ", "[.]", "(dot)", " dot ".
_DOT: Final = re.compile(r" ?[\[({<]? ?\. ?[\])}>]? ?").fullmatch


def revealed(folded: str) -> str:
    """The folded text with what browsers decode in host names decoded: percent signs' dots, punycode."""
    if "%2e" in folded:
        folded = folded.replace("%2e", ".")
    if "xn--" in folded:
        folded = _PUNYCODE.sub(_decode, folded)
    return folded


def _decode(label: re.Match[str]) -> str:
    try:
        return fold(label[1].encode().decode("punycode")) or label[0]
    except ValueError:  # no punycode
        return label[0]


def is_dot(between: str) -> bool:
    """Whether what stands between two labels is a dot, plain or hidden."""
    return between == "." or _DOT(between) is not None


def authorities(folded: str) -> list[str]:
    """The host parts (user and port included) of all explicit http links."""
    if ":/" not in folded and "hxxp" not in folded:
        return []
    return _SCHEME.findall(folded)


def is_disguised(authority: str) -> bool:
    """A bare address, a name in punycode, or a name in front of an @ that the link does not lead to."""
    return "@" in authority or "xn--" in authority or _ADDRESS.match(authority) is not None
