"""Rejecting a campaign that waits for its verdict: the one way, whoever gives the verdict.

Who rejects tells it after the commit (`campaigns.rejected_fact`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from sema_common.billing import ledger
from sema_common.messages.campaigns import CampaignRow
from sema_common.messages.store import campaigns as store
from sema_common.platform.db import Tx


async def reject_campaign(
    tx: Tx, campaign: CampaignRow, reasons: Sequence[Mapping[str, str]], at: datetime
) -> Decimal | None:
    """Reject it and release what it had reserved, which is answered; None if it waits for no verdict any more."""
    # Balances are locked before any other row, everywhere.
    await ledger.lock_balances(tx, [campaign.billing_account_id])
    reserved = await store.reject(tx, campaign.id, reasons, at)
    if reserved:
        await ledger.release(tx, campaign.billing_account_id, reserved, campaign.id)
    return reserved
