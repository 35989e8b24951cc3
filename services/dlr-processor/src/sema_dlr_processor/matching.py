"""Whose message each report of a batch is about, and what becomes of that message."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sema_aggregators import READERS
from sema_common.messages.status import FINAL, Status
from sema_common.messages.store import reports as messages
from sema_common.messages.store.reading import read_messages
from sema_common.messages.store.rows import MessageRow
from sema_common.platform.db import Tx
from sema_dlr_processor.rules import NO_REPORT, Kept


@dataclass(slots=True)
class Case:
    """What the batch says of one message, and what became of it.

    `overdue`: its time may be over. `row` is the message as the batch leaves it, None once it is archived. `was`
    is the status that it moved from, None when it stays where it is. `handled_before`: a report of it was filed
    by an earlier try, and nobody knows whether its fact was told.
    """

    reports: list[Kept] = field(default_factory=list)
    overdue: bool = False
    row: MessageRow | None = None
    was: Status | None = None
    refunded: bool = False
    withheld: bool = False
    handled_before: bool = False

    @property
    def is_unreported(self) -> bool:
        """It has expired because no report came."""
        row = self.row
        return row is not None and row.status == "expired" and (row.last_error or {}).get("code") == NO_REPORT

    @property
    def is_to_be_told(self) -> bool:
        """It moved; or it ended in an earlier try, and nobody knows whether that was told."""
        if self.row is None or self.row.status not in FINAL:
            return False
        return self.was is not None or self.handled_before or (self.overdue and self.is_unreported)


@dataclass(slots=True)
class Matched:
    """The reports of a batch: by their messages; of submits that nobody knows (yet); of somebody else's messages."""

    cases: dict[UUID, Case] = field(default_factory=dict)
    strangers: list[Kept] = field(default_factory=list)
    foreign: list[tuple[Kept, str]] = field(default_factory=list)


async def match(tx: Tx, kept: Sequence[Kept], overdue: Iterable[UUID] = ()) -> Matched:
    """Find the message of each report, and set aside what claims a message that cannot be meant."""
    found = Matched()
    cases: defaultdict[UUID, Case] = defaultdict(Case)
    submits = await messages.find_submits(tx, [one.key for one in kept]) if kept else {}
    for one in kept:
        message_id = submits.get(one.key)
        (found.strangers if message_id is None else cases[message_id].reports).append(one)
    for message_id in overdue:
        cases[message_id].overdue = True
    found.cases = cases
    await _set_foreign_aside(tx, found)
    return found


async def _set_foreign_aside(tx: Tx, found: Matched) -> None:
    """Whoever has one aggregator's URL must not move another's messages, nor somebody else's by a wrong id."""
    claimed = [
        (name, one.report.aggregator_id)
        for one in found.strangers
        for name in READERS
        if name != one.aggregator
    ]
    known = {key[1] for key in await messages.find_submits(tx, claimed)} if claimed else set()
    if known:
        wrong = [one for one in found.strangers if one.report.aggregator_id in known]
        found.foreign += [(one, "an id that another aggregator gave") for one in wrong]
        found.strangers = [one for one in found.strangers if one.report.aggregator_id not in known]
    naming = [i for i, case in found.cases.items() if any(one.report.recipient for one in case.reports)]
    rows = await read_messages(tx, naming) if naming else {}
    for message_id, row in rows.items():
        case = found.cases[message_id]
        wrong = [one for one in case.reports if not one.is_of(row.to)]
        if wrong:
            found.foreign += [(one, "another recipient than the message's") for one in wrong]
            case.reports = [one for one in case.reports if one.is_of(row.to)]
            if not case.reports and not case.overdue:
                del found.cases[message_id]
