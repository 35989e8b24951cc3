"""The secrets of one stack: made once, kept in a file that only its owner reads, never committed."""

from __future__ import annotations

import base64
import secrets
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from deploy.local.files import replace

# What the seeding adds; it is dropped with the database that knew it.
DEMO_KEYS: Final = ("SEMA_ACCOUNT_ID", "SEMA_API_KEY", "SEMA_TEST_API_KEY")


def load(path: Path) -> dict[str, str]:
    """The stack's secrets; whatever is missing is made and saved."""
    known = read_env(path) if path.exists() else {}
    made = {name: make() for name, make in _MAKERS.items() if name not in known}
    if made:
        known |= made
        write_env(path, known, mode=0o600)
    return known


def read_env(path: Path) -> dict[str, str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value.strip("'") for name, _, value in pairs}


def write_env(path: Path, values: Mapping[str, str], mode: int = 0o644) -> None:
    """Replaces the file in one step; a shell can source it, and what needs no quotes has none."""
    replace(path, "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items()), mode)


def _jwt_private_key() -> str:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return base64.b64encode(pem).decode()


def _token() -> str:
    return secrets.token_hex(20)  # no character that a shell, a URL or an option parser minds


_MAKERS: Final = {
    "AFRICASTALKING_API_KEY": _token,
    "AMQP_PASSWORD": _token,
    "CELCOM_API_KEY": _token,
    "DARAJA_CONSUMER_KEY": _token,
    "DARAJA_CONSUMER_SECRET": _token,
    "DARAJA_PASS_KEY": _token,
    "DLR_TOKEN": _token,
    "PAYMENTS_TOKEN": _token,
    "SECRETS_KEYS": lambda: Fernet.generate_key().decode(),
    "JWT_PRIVATE_KEY": _jwt_private_key,
    "SEMA_STAFF_PASSWORD": _token,
    "SEMA_OWNER_PASSWORD": _token,
}
