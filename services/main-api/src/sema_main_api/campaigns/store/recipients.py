"""Who receives a campaign: copied from its list, then fixed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, LiteralString
from uuid import UUID

from sema_common.platform.db import Tx
from sema_main_api.campaigns.rules import Cost

VALUES: Final[LiteralString] = """
CASE WHEN cardinality($3::text[]) > 0 THEN (
    SELECT COALESCE(jsonb_object_agg(f.name, f.value), '{}') FROM (
        SELECT n.name, CASE n.name WHEN 'phone' THEN c.msisdn
                                   WHEN 'name' THEN COALESCE(c.name, c.attributes->>'name')
                                   ELSE c.attributes->>n.name END AS value
        FROM unnest($3::text[]) AS n(name)) AS f
    WHERE btrim(f.value) <> '') END
"""
"""A contact's values for the merge fields $3."""

ELIGIBLE: Final[LiteralString] = """
FROM core.contacts c
WHERE c.contact_list_id = $1 AND c.validity = 'valid' AND c.msisdn IS NOT NULL AND c.country IS NOT NULL
  AND NOT EXISTS (SELECT FROM core.suppressions s WHERE s.account_id = $2 AND s.msisdn = c.msisdn)
"""
"""Who of the list $1 may be written to by the account $2: a submission copies them, an estimate only reads them."""

# In the order of the list's index, so that nothing is sorted; the unique number leaves repeated ones out.
SQL_COPY_RECIPIENTS: Final[LiteralString] = f"""
INSERT INTO core.campaign_recipients (campaign_id, tenant_id, country, seq, contact_id, msisdn, mno, fields)
SELECT $4, $5, c.country, row_number() OVER (ORDER BY c.id), c.id, c.msisdn, c.mno, {VALUES}
{ELIGIBLE} ORDER BY c.id
ON CONFLICT ON CONSTRAINT uq_campaign_recipients_msisdn DO NOTHING
"""

SQL_COUNT_CONTACTS: Final[LiteralString] = """
SELECT count(*) FILTER (WHERE validity = 'valid') AS valid, count(*) FILTER (WHERE validity <> 'valid') AS invalid,
       EXISTS (SELECT FROM core.suppressions WHERE account_id = $2) AS suppressions
FROM core.contacts WHERE contact_list_id = $1
"""

SQL_COUNT_SUPPRESSED: Final[LiteralString] = """
SELECT count(*) FROM core.contacts c JOIN core.suppressions s ON s.account_id = $2 AND s.msisdn = c.msisdn
WHERE c.contact_list_id = $1 AND c.validity = 'valid'
"""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Rows of the list that are no recipients."""

    suppressed: int
    duplicates: int
    invalid: int


async def copy_recipients(
    tx: Tx,
    campaign_id: UUID,
    tenant_id: UUID,
    list_id: UUID,
    account_id: UUID,
    fields: Sequence[str],
    timeout: float,
) -> Skipped:
    """Make the valid contacts of the list, each number once and without opt-outs, the campaign's recipients."""
    status = await tx.execute(
        SQL_COPY_RECIPIENTS, list_id, account_id, list(fields), campaign_id, tenant_id, timeout=timeout
    )
    return await count_skipped(tx, list_id, account_id, int(status.split()[-1]), timeout)


async def count_skipped(tx: Tx, list_id: UUID, account_id: UUID, taken: int, timeout: float) -> Skipped:
    """Why the others of the list are no recipients, when `taken` are."""
    listed = list_id, account_id
    counted = await tx.fetchrow(SQL_COUNT_CONTACTS, *listed, timeout=timeout)
    assert counted is not None
    suppressed = (
        await tx.fetchval(SQL_COUNT_SUPPRESSED, *listed, timeout=timeout) if counted["suppressions"] else 0
    )
    duplicates = max(0, counted["valid"] - suppressed - taken)
    return Skipped(suppressed, duplicates, counted["invalid"])


@dataclass(frozen=True, slots=True)
class Group:
    """Recipients of one MNO of one country; `last_seq` is the number of the last one."""

    country: str
    mno: str | None
    recipients: int
    last_seq: int


SQL_GROUPS: Final[LiteralString] = """
SELECT country, mno, count(*)::integer, max(seq) FROM core.campaign_recipients WHERE campaign_id = $1
GROUP BY country, mno ORDER BY country, mno
"""


async def groups(tx: Tx, campaign_id: UUID, timeout: float) -> list[Group]:
    """Where the recipients are."""
    return [Group(*row.values()) for row in await tx.fetch(SQL_GROUPS, campaign_id, timeout=timeout)]


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient; `fields` are its values for the text's merge fields, those that it has."""

    country: str
    seq: int
    msisdn: str
    mno: str | None
    contact_id: UUID
    fields: dict[str, str] | None
    refused: dict[str, str] | None


SQL_RECIPIENTS: Final[LiteralString] = """
SELECT country, seq, msisdn, mno, contact_id, fields, refused FROM core.campaign_recipients
WHERE campaign_id = $1 AND (country, seq) > ($2, $3)
  AND ($4::text IS NULL OR NOT fields ? $4)
ORDER BY country, seq LIMIT $5
"""

SQL_REFUSED_RECIPIENTS: Final[LiteralString] = """
SELECT country, seq, msisdn, mno, contact_id, fields, refused FROM core.campaign_recipients
WHERE campaign_id = $1 AND (country, seq) > ($2, $3) AND refused IS NOT NULL
  AND ($4::text IS NULL OR NOT fields ? $4)
ORDER BY country, seq LIMIT $5
"""


async def recipients(
    tx: Tx,
    campaign_id: UUID,
    after: tuple[str, int],
    limit: int,
    *,
    missing: str | None = None,
    refused: bool = False,
) -> list[Recipient]:
    """The next recipients in the order of expansion; `missing`: those who lack this field."""
    sql = SQL_REFUSED_RECIPIENTS if refused else SQL_RECIPIENTS
    rows = await tx.fetch(sql, campaign_id, *after, missing, limit)
    return [Recipient(*row.values()) for row in rows]


SQL_REFUSE: Final[LiteralString] = """
UPDATE core.campaign_recipients r SET refused = n.refused
FROM unnest($2::text[], $3::integer[], $4::jsonb[]) AS n(country, seq, refused)
WHERE r.campaign_id = $1 AND r.country = n.country AND r.seq = n.seq
"""


async def refuse(tx: Tx, campaign_id: UUID, refused: Sequence[tuple[str, int, Mapping[str, str]]]) -> None:
    """Note, by country and number, who gets no message and why."""
    countries, seqs, reasons = zip(*refused, strict=True)
    await tx.execute(SQL_REFUSE, campaign_id, list(countries), list(seqs), list(reasons))


SQL_REFUSE_GROUP: Final[LiteralString] = """
UPDATE core.campaign_recipients SET refused = $4
WHERE campaign_id = $1 AND country = $2 AND mno IS NOT DISTINCT FROM $3
"""


async def refuse_group(
    tx: Tx, campaign_id: UUID, group: Group, reason: Mapping[str, str], timeout: float
) -> None:
    """Note that nobody of this MNO gets a message, and why."""
    await tx.execute(SQL_REFUSE_GROUP, campaign_id, group.country, group.mno, reason, timeout=timeout)


SQL_INSERT_PARTS: Final[LiteralString] = """
INSERT INTO core.campaign_parts (campaign_id, tenant_id, country, last_seq, prices, wholesale)
SELECT $1, $2, p.country, p.last_seq, p.prices, p.wholesale
FROM unnest($3::text[], $4::integer[], $5::jsonb[], $6::jsonb[]) AS p(country, last_seq, prices, wholesale)
"""


async def insert_parts(
    tx: Tx,
    campaign_id: UUID,
    tenant_id: UUID,
    parts: Mapping[str, int],
    prices: Mapping[str, Mapping[str, Cost]],
    *,
    wholesale: bool,
) -> None:
    """Fix what is to be expanded, country by country: the last recipient's number, and prices by MNO.

    `wholesale`: another account is charged, and what it is charged is fixed too.
    """
    countries = sorted(parts)
    own = [{mno: str(cost.own) for mno, cost in prices.get(c, {}).items()} for c in countries]
    charged = [
        {mno: str(cost.charged) for mno, cost in prices.get(c, {}).items()} if wholesale else None
        for c in countries
    ]
    await tx.execute(
        SQL_INSERT_PARTS, campaign_id, tenant_id, countries, [parts[c] for c in countries], own, charged
    )
