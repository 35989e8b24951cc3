"""Secrets of customers at rest: what we must be able to read again is stored encrypted, never in the clear.

Keys come from the environment, newest first: everything is sealed with the first, and whatever an older one
sealed still opens, so that a key is replaced by putting a new one in front.
"""

from cryptography.fernet import Fernet, InvalidToken, MultiFernet


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
