"""`core.mno_prefixes`."""

from collections.abc import Sequence
from typing import Final, LiteralString

from sema_common.platform.db import Tx
from sema_main_api.admin.networks.rules import Key, Prefix

SQL_LOCK: Final[LiteralString] = "LOCK TABLE core.mno_prefixes IN SHARE ROW EXCLUSIVE MODE"


async def lock_registry(tx: Tx) -> None:
    """One member of staff changes it at a time; reading goes on."""
    await tx.execute(SQL_LOCK)


SQL_ALL: Final[LiteralString] = """
SELECT prefix, source, country, mno, note FROM core.mno_prefixes ORDER BY prefix, source
"""


async def read_all(tx: Tx) -> dict[Key, Prefix]:
    """The whole registry, about a thousand rows, by prefix."""
    rows = [Prefix(*row.values()) for row in await tx.fetch(SQL_ALL)]
    return {row.key: row for row in rows}


SQL_PAGE: Final[LiteralString] = """
SELECT prefix, source, country, mno, note FROM core.mno_prefixes
WHERE ($1::text IS NULL OR (prefix, source) > ($1, $2)) AND ($3::text IS NULL OR starts_with(prefix, $3))
  AND ($4::text IS NULL OR source = $4) AND ($5::text IS NULL OR country = $5)
  AND ($6::text IS NULL OR strpos(lower(mno), lower($6)) > 0)
ORDER BY prefix, source LIMIT $7
"""


async def page(
    tx: Tx,
    after: tuple[str, str] | None,
    filters: tuple[str | None, str | None, str | None, str | None],
    limit: int,
) -> list[Prefix]:
    """Rows by prefix; `filters`: the beginning of the prefix, source, country, a part of the MNO's name."""
    prefix, source = after or (None, None)
    return [Prefix(*row.values()) for row in await tx.fetch(SQL_PAGE, prefix, source, *filters, limit)]


SQL_PUT: Final[LiteralString] = """
INSERT INTO core.mno_prefixes (prefix, source, country, calling_code, mno, note)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
ON CONFLICT (prefix, source) DO UPDATE SET
    country = excluded.country, calling_code = excluded.calling_code, mno = excluded.mno, note = excluded.note
"""


async def put(tx: Tx, rows: Sequence[Prefix]) -> None:
    """Add rows, or change those that are there."""
    await tx.execute(
        SQL_PUT,
        [row.prefix for row in rows],
        [row.source for row in rows],
        [row.country for row in rows],
        [row.calling_code for row in rows],
        [row.mno for row in rows],
        [row.note for row in rows],
    )


SQL_DELETE: Final[LiteralString] = """
DELETE FROM core.mno_prefixes m USING unnest($1::text[], $2::text[]) AS gone(prefix, source)
WHERE m.prefix = gone.prefix AND m.source = gone.source
"""


async def delete(tx: Tx, keys: Sequence[Key]) -> None:
    """These rows go."""
    await tx.execute(SQL_DELETE, [prefix for prefix, _ in keys], [source for _, source in keys])
