"""The second factor: time-based one-time passwords (RFC 6238), each good once, and recovery codes for a lost phone."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import pyotp
import segno

ISSUER: Final = "Sema Link"

STEP_SECONDS: Final = 30
DRIFT_STEPS: Final = 1
"""A phone's clock may be half a minute off (RFC 6238 §5.2)."""

RECOVERY_CODES: Final = 10
RECOVERY_BYTES: Final = 8
"""64 bits each; guesses are counted as log-ins are."""


def new_secret() -> str:
    """A fresh secret in base32, as authenticator apps take it: 160 bits."""
    return pyotp.random_base32()


def provisioning_uri(secret: str, email: str) -> str:
    """What the app is shown: `otpauth://totp/…`."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


def qr_svg(uri: str) -> str:
    """The same as a picture."""
    return segno.make(uri, error="m").svg_inline(scale=4)


def matching_step(secret: str, code: str, at: datetime, after: int) -> int | None:
    """The time step that this code is of, if it is a fresh one; None when it is wrong or not after step `after`."""
    now = int(at.timestamp()) // STEP_SECONDS
    totp = pyotp.TOTP(secret)
    for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        if step > after and hmac.compare_digest(totp.at(step * STEP_SECONDS), code):
            return step
    return None


def recovery_codes() -> list[str]:
    """New codes, each to be used once, in groups that can be read aloud."""
    codes = [secrets.token_hex(RECOVERY_BYTES) for _ in range(RECOVERY_CODES)]
    return ["-".join(code[start : start + 4] for start in range(0, len(code), 4)) for code in codes]


def recovery_hash(code: str) -> bytes:
    """What is kept of a recovery code: it is random enough for a fast hash."""
    return hashlib.sha256(code.strip().lower().replace("-", "").encode()).digest()


def without(hashes: Sequence[bytes], code: str) -> list[bytes] | None:
    """The codes that are left once this one is used; None when it is none of them."""
    wanted = recovery_hash(code)
    left = [kept for kept in hashes if not hmac.compare_digest(kept, wanted)]
    return left if len(left) < len(hashes) else None
