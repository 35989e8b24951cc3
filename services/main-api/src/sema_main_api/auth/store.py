"""Users as logging in needs them, and their second factor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx


@dataclass(frozen=True, slots=True)
class Login:
    """What a password is checked against; `disabled` users are known and not let in."""

    user_id: UUID
    account_id: UUID | None
    role: str
    password_hash: str
    disabled: bool


SQL_FIND_LOGIN: Final[LiteralString] = """
SELECT id, account_id, role, password_hash, disabled_at IS NOT NULL FROM core.users WHERE email = $1
"""


async def find_login(tx: Tx, email: str) -> Login | None:
    """The user with this (lower-case) address."""
    row = await tx.fetchrow(SQL_FIND_LOGIN, email)
    return None if row is None else Login(*row.values())


SQL_REPLACE_HASH: Final[LiteralString] = """
UPDATE core.users SET password_hash = $2 WHERE id = $1 AND password_hash = $3
"""


async def replace_password_hash(tx: Tx, user_id: UUID, new_hash: str, old_hash: str) -> None:
    """The same password, hashed anew; nothing happens if it was changed in between."""
    await tx.execute(SQL_REPLACE_HASH, user_id, new_hash, old_hash)


SQL_READ_ADDRESS: Final[LiteralString] = """
SELECT email FROM core.users WHERE id = $1 AND disabled_at IS NULL
"""


async def read_address(tx: Tx, user_id: UUID) -> str | None:
    """The e-mail address of a user who may log in."""
    email: str | None = await tx.fetchval(SQL_READ_ADDRESS, user_id)
    return email


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """`secret` is sealed; `last_step` is the time step of the newest code that was used; `recovery` are hashes."""

    secret: bytes
    confirmed: bool
    last_step: int
    recovery: list[bytes]


SQL_LOCK_TOTP: Final[LiteralString] = """
SELECT secret, confirmed_at IS NOT NULL, last_step, recovery FROM core.user_totp WHERE user_id = $1 FOR UPDATE
"""


async def lock_totp(tx: Tx, user_id: UUID) -> SecondFactor | None:
    """A user's second factor, locked: of two log-ins with one code, one finds it used."""
    row = await tx.fetchrow(SQL_LOCK_TOTP, user_id)
    return None if row is None else SecondFactor(*row.values())


SQL_BEGIN_TOTP: Final[LiteralString] = """
INSERT INTO core.user_totp AS kept (user_id, secret) VALUES ($1, $2)
ON CONFLICT (user_id) DO UPDATE SET secret = excluded.secret, last_step = 0 WHERE kept.confirmed_at IS NULL
RETURNING user_id
"""


async def begin_totp(tx: Tx, user_id: UUID, sealed: bytes) -> bool:
    """Keep a secret that is not confirmed yet; False when one is confirmed already."""
    return await tx.fetchval(SQL_BEGIN_TOTP, user_id, sealed) is not None


SQL_USE_TOTP: Final[LiteralString] = """
UPDATE core.user_totp SET last_step = greatest(last_step, $2), recovery = $3,
    confirmed_at = COALESCE(confirmed_at, now())
WHERE user_id = $1
"""


async def use_totp(tx: Tx, user_id: UUID, step: int, recovery: Sequence[bytes]) -> None:
    """Write down which code was used last and which recovery codes are left; the first use confirms the secret."""
    await tx.execute(SQL_USE_TOTP, user_id, step, list(recovery))


SQL_DELETE_TOTP: Final[LiteralString] = "DELETE FROM core.user_totp WHERE user_id = $1"


async def delete_totp(tx: Tx, user_id: UUID) -> None:
    """Without a second factor from now on."""
    await tx.execute(SQL_DELETE_TOTP, user_id)
