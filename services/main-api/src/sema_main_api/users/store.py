"""Users, registrations that are not confirmed yet, and one-time links."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx

Purpose = Literal["reset", "invitation"]


@dataclass(frozen=True, slots=True)
class UserRow:
    """`invited`: has no password yet."""

    id: UUID
    account_id: UUID | None
    email: str
    name: str
    role: str
    invited: bool
    disabled: bool
    created_at: datetime


SQL_READ_USER: Final[LiteralString] = """
SELECT id, account_id, email, name, role, password_hash = '', disabled_at IS NOT NULL, created_at
FROM core.users WHERE id = $1
"""


async def read_user(tx: Tx, user_id: UUID) -> UserRow | None:
    """One user, whoever's he is: the caller compares the account."""
    row = await tx.fetchrow(SQL_READ_USER, user_id)
    return None if row is None else UserRow(*row.values())


SQL_LIST_USERS: Final[LiteralString] = """
SELECT id, account_id, email, name, role, password_hash = '', disabled_at IS NOT NULL, created_at
FROM core.users WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3
"""


async def list_users(tx: Tx, account_id: UUID, before: UUID, limit: int) -> list[UserRow]:
    """An account's users, the newest first."""
    return [UserRow(*row.values()) for row in await tx.fetch(SQL_LIST_USERS, account_id, before, limit)]


SQL_LOCK_USERS: Final[LiteralString] = """
SELECT id, account_id, email, name, role, password_hash = '', disabled_at IS NOT NULL, created_at
FROM core.users WHERE account_id = $1 ORDER BY id FOR UPDATE
"""


async def lock_users(tx: Tx, account_id: UUID) -> dict[UUID, UserRow]:
    """All users of an account, locked: who may be demoted depends on the others."""
    rows = [UserRow(*row.values()) for row in await tx.fetch(SQL_LOCK_USERS, account_id)]
    return {row.id: row for row in rows}


SQL_LIST_STAFF: Final[LiteralString] = """
SELECT id, account_id, email, name, role, password_hash = '', disabled_at IS NOT NULL, created_at
FROM core.users WHERE account_id IS NULL AND id < $1 ORDER BY id DESC LIMIT $2
"""


async def list_staff(tx: Tx, before: UUID, limit: int) -> list[UserRow]:
    """Our own people, the newest first."""
    return [UserRow(*row.values()) for row in await tx.fetch(SQL_LIST_STAFF, before, limit)]


SQL_LOCK_STAFF: Final[LiteralString] = """
SELECT id, account_id, email, name, role, password_hash = '', disabled_at IS NOT NULL, created_at
FROM core.users WHERE account_id IS NULL ORDER BY id FOR UPDATE
"""


async def lock_staff(tx: Tx) -> dict[UUID, UserRow]:
    """All of our own people, locked: who may be demoted depends on the others."""
    rows = [UserRow(*row.values()) for row in await tx.fetch(SQL_LOCK_STAFF)]
    return {row.id: row for row in rows}


SQL_FIND_BY_EMAIL: Final[LiteralString] = """
SELECT id, account_id, email, name, role, password_hash = '', disabled_at IS NOT NULL, created_at
FROM core.users WHERE email = $1 FOR UPDATE
"""


async def find_by_email(tx: Tx, email: str) -> UserRow | None:
    """The user with this (lower-case) address, locked."""
    row = await tx.fetchrow(SQL_FIND_BY_EMAIL, email)
    return None if row is None else UserRow(*row.values())


SQL_INSERT_USER: Final[LiteralString] = """
INSERT INTO core.users (id, tenant_id, account_id, email, name, password_hash, role)
VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (email) DO NOTHING RETURNING created_at
"""


async def insert_user(
    tx: Tx,
    user_id: UUID,
    tenant_id: UUID | None,
    account_id: UUID | None,
    email: str,
    name: str,
    password_hash: str,
    role: str,
) -> datetime | None:
    """A new user (staff have neither tenant nor account), made when; None when somebody has this address already."""
    made: datetime | None = await tx.fetchval(
        SQL_INSERT_USER, user_id, tenant_id, account_id, email, name, password_hash, role
    )
    return made


SQL_RESET_USER: Final[LiteralString] = """
UPDATE core.users SET password_hash = $2, role = $3, disabled_at = NULL WHERE id = $1
"""


async def reset_user(tx: Tx, user_id: UUID, password_hash: str, role: str) -> None:
    """Give a user a new password and role, and let him in again."""
    await tx.execute(SQL_RESET_USER, user_id, password_hash, role)


SQL_CHANGE_USER: Final[LiteralString] = """
UPDATE core.users SET role = $2, name = $3,
    disabled_at = CASE WHEN $4 THEN COALESCE(disabled_at, now()) END
WHERE id = $1
"""


async def change_user(tx: Tx, user_id: UUID, role: str, name: str, disabled: bool) -> None:
    """What an account's managers decide about a user."""
    await tx.execute(SQL_CHANGE_USER, user_id, role, name, disabled)


SQL_READ_HASH: Final[LiteralString] = "SELECT password_hash FROM core.users WHERE id = $1"


async def read_hash(tx: Tx, user_id: UUID) -> str | None:
    """What a user's password is checked against."""
    found: str | None = await tx.fetchval(SQL_READ_HASH, user_id)
    return found


SQL_REPLACE_HASH: Final[LiteralString] = "UPDATE core.users SET password_hash = $2 WHERE id = $1"


async def set_password(tx: Tx, user_id: UUID, password_hash: str) -> None:
    """A new password."""
    await tx.execute(SQL_REPLACE_HASH, user_id, password_hash)


SQL_SET_NAME: Final[LiteralString] = "UPDATE core.users SET name = $2 WHERE id = $1"


async def set_name(tx: Tx, user_id: UUID, name: str) -> None:
    """How a user is called."""
    await tx.execute(SQL_SET_NAME, user_id, name)


SQL_TENANT: Final[LiteralString] = "SELECT tenant_id FROM core.accounts WHERE id = $1"


async def find_tenant(tx: Tx, account_id: UUID) -> UUID | None:
    """The tenant of an account; None when there is no such account."""
    found: UUID | None = await tx.fetchval(SQL_TENANT, account_id)
    return found


SQL_ACCOUNT_NAME: Final[LiteralString] = "SELECT name FROM core.accounts WHERE id = $1"


async def account_name(tx: Tx, account_id: UUID) -> str:
    """How the account is called."""
    name: str = await tx.fetchval(SQL_ACCOUNT_NAME, account_id)
    return name


@dataclass(frozen=True, slots=True)
class Registration:
    """Who wants to become the owner of a new account."""

    email: str
    password_hash: str
    name: str
    company: str


SQL_REGISTER: Final[LiteralString] = """
INSERT INTO core.registrations (token_hash, email, password_hash, name, company, expires_at)
VALUES ($1, $2, $3, $4, $5, $6)
"""


async def register(tx: Tx, token_hash: bytes, wanted: Registration, expires_at: datetime) -> None:
    """Keep a registration until its link is followed."""
    await tx.execute(
        SQL_REGISTER,
        token_hash,
        wanted.email,
        wanted.password_hash,
        wanted.name,
        wanted.company,
        expires_at,
    )


SQL_TAKE_REGISTRATION: Final[LiteralString] = """
DELETE FROM core.registrations WHERE token_hash = $1
RETURNING email, password_hash, name, company, expires_at
"""


async def take_registration(tx: Tx, token_hash: bytes, now: datetime) -> Registration | None:
    """The registration of this link, which works no more; None when it is unknown or too old."""
    row = await tx.fetchrow(SQL_TAKE_REGISTRATION, token_hash)
    if row is None or row["expires_at"] <= now:
        return None
    return Registration(row["email"], row["password_hash"], row["name"], row["company"])


SQL_KEEP_LINK: Final[LiteralString] = """
INSERT INTO core.user_tokens (token_hash, user_id, purpose, expires_at) VALUES ($1, $2, $3, $4)
"""


async def keep_link(tx: Tx, token_hash: bytes, user_id: UUID, purpose: Purpose, expires_at: datetime) -> None:
    """A link that lets this user set a password, once."""
    await tx.execute(SQL_KEEP_LINK, token_hash, user_id, purpose, expires_at)


SQL_TAKE_LINK: Final[LiteralString] = """
DELETE FROM core.user_tokens WHERE token_hash = $1 AND purpose = $2 RETURNING user_id, expires_at
"""
SQL_FORGET_LINKS: Final[LiteralString] = "DELETE FROM core.user_tokens WHERE user_id = $1"


async def take_link(tx: Tx, token_hash: bytes, purpose: Purpose, now: datetime) -> UUID | None:
    """Whose link this is; it and all others of his work no more. None when it is unknown or too old."""
    row = await tx.fetchrow(SQL_TAKE_LINK, token_hash, purpose)
    if row is None or row["expires_at"] <= now:
        return None
    await forget_links(tx, row["user_id"])
    user_id: UUID = row["user_id"]
    return user_id


SQL_FIND_LINK: Final[LiteralString] = """
SELECT expires_at FROM core.user_tokens WHERE token_hash = $1 AND purpose = $2
"""


async def link_works(tx: Tx, token_hash: bytes, purpose: Purpose, now: datetime) -> bool:
    """Asked before anything dear is done for whoever shows a link; only `take_link` decides."""
    expires_at = await tx.fetchval(SQL_FIND_LINK, token_hash, purpose)
    return expires_at is not None and expires_at > now


async def forget_links(tx: Tx, user_id: UUID) -> None:
    """No link of this user works any more."""
    await tx.execute(SQL_FORGET_LINKS, user_id)


SQL_FORGET_INVITED: Final[LiteralString] = "DELETE FROM core.users WHERE email = $1 AND password_hash = ''"


async def forget_invited(tx: Tx, email: str) -> None:
    """Whoever was invited with this address and never came: the address is free again."""
    await tx.execute(SQL_FORGET_INVITED, email)


SQL_PURGE_INVITED: Final[LiteralString] = """
DELETE FROM core.users u WHERE password_hash = ''
  AND NOT EXISTS (SELECT FROM core.user_tokens t WHERE t.user_id = u.id)
"""
SQL_PURGE_LINKS: Final[LiteralString] = "DELETE FROM core.user_tokens WHERE expires_at < now()"
SQL_PURGE_REGISTRATIONS: Final[LiteralString] = "DELETE FROM core.registrations WHERE expires_at < now()"


async def purge(tx: Tx) -> None:
    """Forget links that are too old to work, and who was invited by one and never came."""
    await tx.execute(SQL_PURGE_LINKS)
    await tx.execute(SQL_PURGE_INVITED)
    await tx.execute(SQL_PURGE_REGISTRATIONS)
