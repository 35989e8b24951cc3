"""Keys out of the environment: those that seal customers' secrets at rest, and those that sign.

Both come as comma-separated lists, newest first: the first seals or signs, all of them open or verify, so that a
key is replaced by putting a new one in front. What we must be able to read again is never stored in the clear.
"""

import base64
import binascii

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key


class SecretBox:
    """Seals and opens short texts (Fernet: AES-128-CBC and HMAC-SHA256)."""

    def __init__(self, keys: str) -> None:
        """`keys`: one or more Fernet keys (32 bytes, urlsafe base64), comma separated; else ValueError."""
        parts = [part.strip() for part in keys.split(",") if part.strip()]
        if not parts:
            raise ValueError("at least one key is needed")
        self._fernet = MultiFernet([Fernet(part) for part in parts])

    @staticmethod
    def new_key() -> str:
        """A fresh random key, as the constructor takes it."""
        return Fernet.generate_key().decode()

    def seal(self, text: str) -> bytes:
        """What may be stored."""
        return self._fernet.encrypt(text.encode())

    def open(self, sealed: bytes) -> str:
        """The text again; ValueError when none of the keys sealed it, or when it was changed."""
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            raise ValueError("none of the keys opens this secret") from None

    def reseal(self, sealed: bytes) -> bytes:
        """The same text, sealed with the newest key; ValueError when none of the keys opens it."""
        try:
            return self._fernet.rotate(sealed)
        except InvalidToken:
            raise ValueError("none of the keys opens this secret") from None


def signing_keys(text: str) -> list[Ed25519PrivateKey]:
    """Keys out of their setting: PKCS #8 PEMs in base64, comma separated; ValueError for anything else."""
    keys = []
    for part in filter(None, map(str.strip, text.split(","))):
        try:
            key = load_pem_private_key(base64.b64decode(part, validate=True), password=None)
        except (ValueError, TypeError, binascii.Error):
            raise ValueError("each key must be a PKCS #8 PEM in base64") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("each key must be an Ed25519 key")
        keys.append(key)
    if not keys:
        raise ValueError("at least one key is needed")
    return keys
