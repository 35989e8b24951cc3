"""Mail: written down in the transaction of what it tells, delivered by SMTP afterwards, tried again for a day.

What a mail says is sealed while it waits (it may hold a link that resets a password) and forgotten once it is sent.
A process that dies between the server's answer and our note of it sends the mail twice. What must never happen here:
a request that waits for a mail server, or a mail for something that was rolled back.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final, Literal, LiteralString
from uuid import UUID

import aiosmtplib
from prometheus_client import Counter, Gauge
from pydantic_core import from_json, to_json

from sema_common.platform.db import Database, Tx
from sema_common.platform.logs import get_logger
from sema_common.platform.secrets import SecretBox
from sema_common.values.ids import new_id

log = get_logger()

MAILS = Counter("sema_mails_total", "Attempts to hand a mail to the mail server", ["kind", "outcome"])
OLDEST = Gauge("sema_mail_oldest_due_seconds", "How long the oldest mail that is due has waited")

AT_ONCE: Final = 20
SMTP_SECONDS: Final = 10.0
"""For one mail, from dialling to the last answer."""

LEASE: Final = timedelta(minutes=5)
"""Longer than AT_ONCE mails one after the other take at their worst; then another process tries."""

RETRIES: Final[Sequence[timedelta]] = tuple(
    timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 360, 960)
)
"""After these a mail is given up: about a day."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A plain-text mail to one person; `kind` is a stable word for metrics and logs."""

    recipient: str
    kind: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Smtp:
    """The mail server that takes our mail; `tls` is implicit, by STARTTLS, or none for this machine's own."""

    host: str
    port: int
    sender: str
    tls: Literal["tls", "starttls", "none"] = "starttls"
    username: str | None = None
    password: str | None = None


SQL_ENQUEUE: Final[LiteralString] = """
INSERT INTO core.mails (id, recipient, kind, content) VALUES ($1, $2, $3, $4)
"""


async def enqueue(tx: Tx, box: SecretBox, mail: Mail) -> UUID:
    """Owe somebody a mail, in the transaction of what it tells."""
    mail_id = new_id()
    content = box.seal(to_json({"subject": mail.subject, "text": mail.text}).decode())
    await tx.execute(SQL_ENQUEUE, mail_id, mail.recipient, mail.kind, content)
    return mail_id


SQL_CLAIM: Final[LiteralString] = """
UPDATE core.mails SET attempts = attempts + 1, due_at = now() + $2
WHERE id IN (SELECT id FROM core.mails WHERE content IS NOT NULL AND due_at <= now()
             ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING id, recipient, kind, content, attempts
"""
SQL_SENT: Final[LiteralString] = """
UPDATE core.mails SET content = NULL, sent_at = now(), error = NULL WHERE id = $1
"""
SQL_RETRY: Final[LiteralString] = "UPDATE core.mails SET due_at = now() + $2, error = $3 WHERE id = $1"
SQL_GIVE_UP: Final[LiteralString] = "UPDATE core.mails SET content = NULL, error = $2 WHERE id = $1"
SQL_OLDEST_DUE: Final[LiteralString] = """
SELECT COALESCE(extract(epoch FROM now() - min(due_at)), 0)::float8 FROM core.mails
WHERE content IS NOT NULL AND due_at <= now()
"""
SQL_PURGE: Final[LiteralString] = """
DELETE FROM core.mails WHERE content IS NULL AND due_at < now() - interval '30 days'
"""


async def purge(tx: Tx) -> None:
    """Forget after a month who got which mail."""
    await tx.execute(SQL_PURGE)


@dataclass(frozen=True, slots=True)
class Owed:
    """A claimed mail; `attempts` counts this one."""

    mail_id: UUID
    recipient: str
    kind: str
    content: bytes
    attempts: int


async def claim_due(tx: Tx, at_most: int) -> list[Owed]:
    """Take what is due for LEASE; other processes pass over it."""
    rows = await tx.fetch(SQL_CLAIM, at_most, LEASE)
    return [Owed(*row.values()) for row in rows]


class Postman:
    """`room.every("mail", …, postman)`: delivers what is due."""

    def __init__(self, db: Database, box: SecretBox, smtp: Smtp) -> None:
        self._db = db
        self._box = box
        self._smtp = smtp

    async def __call__(self) -> bool:
        """One round; True when there is more."""
        OLDEST.set(await self._db.fetchval(SQL_OLDEST_DUE))
        async with self._db.transaction() as tx:
            owed = await claim_due(tx, AT_ONCE)
        for each in owed:
            await self._deliver(each)
        return len(owed) == AT_ONCE

    async def _deliver(self, owed: Owed) -> None:
        """Hand one over and write down how it went."""
        try:
            content = from_json(self._box.open(owed.content))
            async with asyncio.timeout(SMTP_SECONDS):
                await self._send(owed.recipient, content["subject"], content["text"])
        except (aiosmtplib.SMTPException, OSError, ValueError) as exc:
            await self._failed(owed, exc)
            return
        MAILS.labels(owed.kind, "sent").inc()
        await self._db.execute(SQL_SENT, owed.mail_id)
        log.info("mail_sent", mail_id=owed.mail_id, kind=owed.kind, attempt=owed.attempts)

    async def _failed(self, owed: Owed, exc: Exception) -> None:
        error = type(exc).__name__
        if is_final(exc) or owed.attempts > len(RETRIES):
            MAILS.labels(owed.kind, "given_up").inc()
            log.error("mail_given_up", mail_id=owed.mail_id, kind=owed.kind, error=error)
            await self._db.execute(SQL_GIVE_UP, owed.mail_id, error)
            return
        MAILS.labels(owed.kind, "failed").inc()
        log.warning("mail_failed", mail_id=owed.mail_id, kind=owed.kind, error=error, attempt=owed.attempts)
        await self._db.execute(SQL_RETRY, owed.mail_id, RETRIES[owed.attempts - 1], error)

    async def _send(self, recipient: str, subject: str, text: str) -> None:
        smtp = self._smtp
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = smtp.sender, recipient, subject
        message["Date"] = formatdate()
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        await aiosmtplib.send(
            message,
            hostname=smtp.host,
            port=smtp.port,
            username=smtp.username,
            password=smtp.password,
            use_tls=smtp.tls == "tls",
            start_tls=smtp.tls == "starttls",
        )


def is_final(exc: Exception) -> bool:
    """Whether trying again cannot help: a 5xx about this recipient or this mail, or content that nobody can open."""
    if isinstance(exc, aiosmtplib.SMTPRecipientsRefused):
        return all(is_final(each) for each in exc.recipients)
    if isinstance(exc, aiosmtplib.SMTPRecipientRefused | aiosmtplib.SMTPDataError):
        return exc.code >= 500
    return isinstance(exc, ValueError)
