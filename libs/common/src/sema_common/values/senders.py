"""What a sender ID may look like; limits are those of GSM 03.40 (11 characters) and of MNOs' short codes."""

import re
from typing import Final

_ALPHANUMERIC: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._&-]{0,9}[A-Za-z0-9])?", re.ASCII)
_CODE: Final = re.compile(r"\+?[0-9]{3,15}", re.ASCII)


def is_sender_id(text: str) -> bool:
    """1–11 plain letters, digits, inner spaces, dots, underscores, ampersands, hyphens, with a letter among them;
    or a short code or number of 3 to 15 digits. Letters of other scripts that look alike are none."""
    if _CODE.fullmatch(text):
        return len(text) <= 15
    return _ALPHANUMERIC.fullmatch(text) is not None and any(c.isalpha() for c in text)
