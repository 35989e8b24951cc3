"""Users as logging in needs them."""

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
