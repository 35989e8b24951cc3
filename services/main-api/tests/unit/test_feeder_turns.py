"""Whose chunk is next when a balance is held by somebody else."""

from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from sema_common.messages.campaigns import CampaignRow
from sema_common.values.errors import LockBusy
from sema_common.values.ids import new_id
from sema_common.values.templates import parse_template
from sema_main_api.scheduler import feeding
from sema_main_api.scheduler.feeding import CHUNK, Feeder, Running


class Locked(Feeder):
    """One account's balance stays locked; the others expand a whole chunk at each turn."""

    def __init__(self, locked: UUID) -> None:
        nothing: Any = None
        super().__init__(nothing, nothing, nothing, nothing)
        self._locked = locked
        self.tried: Counter[UUID] = Counter()

    async def _chunk(self, campaign: Running) -> int | None:
        self.tried[campaign.row.account_id] += 1
        if campaign.row.account_id == self._locked:
            raise LockBusy("the balance is in use")
        return CHUNK

    async def turns(self, running: dict[UUID, list[Running]], count: int) -> None:
        self._turns.keep(list(running))
        for _ in range(count):
            await self._turn(running, self._turns.next(list(running)))


def campaign(account_id: UUID) -> Running:
    nothing: dict[str, Any] = dict.fromkeys(CampaignRow.__slots__)
    row = CampaignRow(**(nothing | {"id": new_id(), "account_id": account_id}))
    return Running(row, "starter", parse_template("Habari"))


async def test_an_account_whose_balance_is_locked_has_its_turn_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feeding, "PAUSE_SECONDS", 0.0)
    locked, other = new_id(), new_id()
    feeder = Locked(locked)
    await feeder.turns({account: [campaign(account)] for account in (locked, other)}, 20)
    assert feeder.tried == {locked: 10, other: 10}
