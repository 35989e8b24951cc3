"""Access tokens: short-lived JWTs, signed with Ed25519, that say who and nothing else.

What a user may do is looked up at every use (and kept for seconds), so a token outlives no decision of staff.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sema_main_api.http.auth import Verified, unauthenticated

ALGORITHM: Final = "EdDSA"
_REQUIRED: Final = ["iss", "aud", "sub", "sid", "iat", "exp", "jti"]


class Tokens:
    """Signs with the first key and verifies with all of them; a token names its key."""

    def __init__(self, keys: list[Ed25519PrivateKey], issuer: str, audience: str, life: timedelta) -> None:
        self._issuer = issuer
        self._audience = audience
        self.life = life
        self._signing_id, self._signing = _key_id(keys[0]), keys[0]
        self._verifying = {_key_id(key): key.public_key() for key in keys}

    def issue(self, user_id: UUID, session_id: str, at: datetime) -> str:
        """A token for this session of this user, valid from `at` for its short life."""
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user_id),
            "sid": session_id,
            "iat": at.astimezone(UTC),
            "exp": at.astimezone(UTC) + self.life,
            "jti": uuid4().hex,
        }
        return jwt.encode(claims, self._signing, ALGORITHM, headers={"kid": self._signing_id})

    def verify(self, token: str) -> Verified:
        """Whose token this is; Refused(401) unless we signed it for this API and it has not expired."""
        try:
            key = self._verifying[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=self._issuer,
                audience=self._audience,
                options={"require": _REQUIRED},
            )
            return Verified(UUID(claims["sub"]), str(claims["sid"]))
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            raise unauthenticated() from None


def _key_id(key: Ed25519PrivateKey) -> str:
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:16]
