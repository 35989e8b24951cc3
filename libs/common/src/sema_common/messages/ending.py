"""Ending messages that were never submitted, with their refund: the one way in which a message fails for good.

Locks are taken in the order balances → messages → attempts. Who ends messages tells their facts after the commit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sema_common.billing import ledger
from sema_common.messages.store.optouts import OptOut, suppress
from sema_common.messages.store.outcomes import Ended, record_ended
from sema_common.messages.store.reading import read_status
from sema_common.platform.db import Tx
from sema_common.platform.faults import fault


@dataclass(frozen=True, slots=True)
class Ending:
    """A message that ends, who paid for it, and what its end tells of its recipient."""

    record: Ended
    billing_account_id: UUID
    opt_out: OptOut | None = None


@dataclass(frozen=True, slots=True)
class Endings:
    """What `end_messages` did: those that stand as asked, now or from before; those that ended now; refunds."""

    standing: set[UUID]
    now: Sequence[Ended]
    refunds: int


async def end_messages(tx: Tx, endings: Sequence[Ending], source: str) -> Endings:
    """End messages; refund what ended now, suppress who opted out by it.

    `source` is the room that says so in their history.
    """
    if not endings:
        return Endings(set(), (), 0)
    await ledger.lock_balances(tx, {ending.billing_account_id for ending in endings})
    records = [ending.record for ending in endings]
    moved = await record_ended(tx, records, source)
    fault("refund.before_refund")
    refunds = len(await ledger.refund(tx, moved)) if moved else 0
    if opted_out := [e.opt_out for e in endings if e.opt_out and e.record.message_id in moved]:
        await suppress(tx, opted_out)
    fault("refund.before_commit")
    rest = [record for record in records if record.message_id not in moved]
    # A repeat, or a report was quicker.
    statuses = await read_status(tx, [record.message_id for record in rest]) if rest else {}
    before = {r.message_id for r in rest if statuses.get(r.message_id) == r.status}
    return Endings(moved | before, [r for r in records if r.message_id in moved], refunds)
