"""Sealing anew, page by page: safe to break off, and to run again."""

from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sema_common.platform.db import Database
from sema_common.platform.secrets import SecretBox
from sema_main_api.http.store import Audit, write_audit
from sema_main_api.secrets import store

PAGE: Final = 500
"""Rows that are locked at a time, for some 50 ms."""


@dataclass(slots=True)
class Rotated:
    """How many texts of each column are sealed with the newest key now, and which none of the keys opens."""

    sealed: dict[str, int] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


async def rotate(db: Database, box: SecretBox, operator: str) -> Rotated:
    """Seal everything with the newest key; the audit log keeps how much of it. What cannot be opened stays as it is."""
    done = Rotated()
    for column in store.COLUMNS:
        done.sealed[column.name] = await _column(db, box, column, done.unreadable)
    after = {"sealed": done.sealed, "unreadable": len(done.unreadable)}
    async with db.transaction() as tx:
        await write_audit(tx, Audit(operator, None, "secrets.rotated", "secrets", "all", after=after))
    return done


async def _column(db: Database, box: SecretBox, column: store.Column, unreadable: list[str]) -> int:
    count = 0
    last = store.FIRST
    while True:
        async with db.transaction() as tx:
            page = await store.next_page(tx, column, last, PAGE)
            anew: dict[UUID, bytes] = {}
            for row_id, sealed in page:
                try:
                    anew[row_id] = box.reseal(sealed)
                except ValueError:
                    unreadable.append(f"{column.name} {row_id}")
            if anew:
                await store.put(tx, column, anew)
        if not page:
            return count
        count += len(anew)
        last = page[-1][0]
