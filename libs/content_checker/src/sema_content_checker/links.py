"""Links in a folded text, however they are taken apart: hxxp, [.], (dot), " . ", "bit dot ly"."""

import re
from typing import Final

_DOTS: Final = re.compile(r" ?[\[({<] ?(?:\.|dot) ?[\])}>] ?| dot | \. ?")
_HOST: Final = re.compile(r"(?<![\w-])[\w-]++(?:\.[\w-]++)+")
_SCHEME: Final = re.compile(r"h(?:tt|xx)ps?[:;]/+([^\s/?#]*)")
_ADDRESS: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")


_SIGNS_OF_HIDING: Final = (" .", "dot", "[", "(", "{", "<")


def _mended(folded: str) -> str:
    return _DOTS.sub(".", folded) if any(sign in folded for sign in _SIGNS_OF_HIDING) else folded


def hosts(folded: str) -> list[str]:
    """Whatever has the shape of a host name, scheme or not; prices and abbreviations among them."""
    mended = _mended(folded)
    if "." not in mended:
        return []
    return [host.lstrip("-_") for host in _HOST.findall(mended)]


def shortener_of(host: str, shorteners: set[str]) -> str | None:
    """The shortener that the host is, or is a subdomain of."""
    labels = host.split(".")
    for start in range(max(0, len(labels) - 4), len(labels) - 1):  # a shortener has at most four labels
        domain = ".".join(labels[start:])
        if domain in shorteners:
            return domain
    return None


def authorities(folded: str) -> list[str]:
    """The host parts (user and port included) of all explicit http links."""
    if "://" not in folded and "hxxp" not in folded:
        return []
    return _SCHEME.findall(_mended(folded))


def is_disguised(authority: str) -> bool:
    """A bare address, a name in punycode, or a name in front of an @ that the link does not lead to."""
    return "@" in authority or "xn--" in authority or _ADDRESS.match(authority) is not None
