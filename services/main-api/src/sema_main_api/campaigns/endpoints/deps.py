"""What the campaign routes work with."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from uuid import UUID

from sema_common.platform.db import Database
from sema_common.values.errors import Overloaded
from sema_main_api.campaigns import submitting
from sema_main_api.http.callers import Caller
from sema_main_api.http.requests import Request
from sema_main_api.http.senders import Approved
from sema_main_api.http.store import Audit
from sema_main_api.http.tenants import TenantReads

AT_ONCE: Final = 2
"""Submissions that write their recipients at a time, and estimates that read them: a long list may not take the pool
or the disk alone."""

WAITING: Final = 20


class ReferenceData(Protocol):
    """Prices, routes and approved senders, kept fresh in memory."""

    @property
    def current(self) -> submitting.Reference: ...
    async def senders(self, account_id: UUID, wanted: str) -> Approved: ...


class Gate:
    """Lets few at a time through."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn; Overloaded when too many wait already."""
        if self._waiting >= WAITING:
            raise Overloaded("too many campaigns are being submitted or estimated", after=5.0)
        self._waiting += 1
        try:
            async with self._places:
                yield
        finally:
            self._waiting -= 1


@dataclass(slots=True)
class Deps:
    """`wake` tells the scheduler that there is something to do. Estimates never wait in a submission's way."""

    tenant: TenantReads
    pipeline: Database
    reference: ReferenceData
    wake: Callable[[], object]
    submissions: Gate = field(default_factory=Gate)
    estimates: Gate = field(default_factory=Gate)


def audit_of(
    caller: Caller,
    request: Request,
    action: str,
    campaign_id: UUID,
    status: str,
    after: dict[str, Any] | None = None,
) -> Audit:
    """The line of the audit log about one campaign."""
    return Audit.by(
        caller, request.request_id, action, ("campaign", campaign_id), before={"status": status}, after=after
    )
