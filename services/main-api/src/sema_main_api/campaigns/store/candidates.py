"""Who would receive a campaign: read from its list for an estimate, and nothing written."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_main_api.campaigns.store.recipients import ELIGIBLE, VALUES


@dataclass(frozen=True, slots=True)
class Candidate:
    """A contact that a submission would make a recipient, with its values for the text's merge fields."""

    country: str
    msisdn: str
    mno: str | None
    fields: dict[str, str] | None


# Of contacts with the same number the first of the list, as a submission takes it.
SQL_CANDIDATES: Final[LiteralString] = f"""
SELECT DISTINCT ON (c.msisdn) c.country, c.msisdn, c.mno, {VALUES} {ELIGIBLE} ORDER BY c.msisdn, c.id
"""


async def candidates(
    tx: Tx, list_id: UUID, account_id: UUID, fields: Sequence[str], at_once: int, timeout: float
) -> AsyncIterator[list[Candidate]]:
    """All of them, so many at once, through a cursor."""
    cursor = await tx.cursor(SQL_CANDIDATES, list_id, account_id, list(fields), timeout=timeout)
    while rows := await cursor.fetch(at_once, timeout=timeout):
        yield [Candidate(*row.values()) for row in rows]


SQL_CANDIDATE_GROUPS: Final[LiteralString] = f"""
SELECT country, mno, count(*)::integer FROM (
    SELECT DISTINCT ON (c.msisdn) c.country, c.mno {ELIGIBLE} ORDER BY c.msisdn, c.id) AS once
GROUP BY country, mno ORDER BY country, mno
"""


async def candidate_groups(
    tx: Tx, list_id: UUID, account_id: UUID, timeout: float
) -> list[tuple[str, str | None, int]]:
    """How many of them are in which country and MNO."""
    rows = await tx.fetch(SQL_CANDIDATE_GROUPS, list_id, account_id, timeout=timeout)
    return [tuple(row.values()) for row in rows]


SQL_FIRST_CANDIDATES: Final[LiteralString] = f"""
SELECT c.country, c.msisdn, c.mno, {VALUES} {ELIGIBLE} ORDER BY c.id LIMIT $4
"""


async def first_candidates(
    tx: Tx, list_id: UUID, account_id: UUID, fields: Sequence[str], at_most: int, timeout: float
) -> list[Candidate]:
    """The first of the list, as samples."""
    rows = await tx.fetch(SQL_FIRST_CANDIDATES, list_id, account_id, list(fields), at_most, timeout=timeout)
    return [Candidate(*row.values()) for row in rows]
