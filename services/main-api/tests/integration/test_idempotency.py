"""What Idempotency-Key waits for, and what it is not to be blamed for."""

import pytest

from sema_common.billing import ledger
from sema_common.platform.db import Database
from sema_common.values.errors import LockBusy
from sema_main_api.http.store import lock_idempotency_key
from tests.kit.campaigns import Campaigns, contact


async def test_only_the_key_is_waited_for_by_the_keys_time(pipeline: Database) -> None:
    async with pipeline.transaction() as tx:
        before = await tx.fetchval("SHOW lock_timeout")
        await lock_idempotency_key(tx, "k", 20)
        assert await tx.fetchval("SHOW lock_timeout") == before
        with pytest.raises(LockBusy):
            async with pipeline.transaction() as other:
                await lock_idempotency_key(other, "k", 20)


async def test_a_busy_balance_is_no_other_call_with_the_same_key(campaigns: Campaigns) -> None:
    list_id = await campaigns.add_list(contact("+254712345671"))
    headers = {"idempotency-key": "once"}
    async with campaigns.owner.transaction() as tx:
        await ledger.lock_balances(tx, [campaigns.account_id])
        busy = await campaigns.post(list_id, headers=headers)
    assert (busy.status_code, busy.json()["code"]) == (503, "unavailable")
    assert (await campaigns.post(list_id, headers=headers)).status_code == 202
