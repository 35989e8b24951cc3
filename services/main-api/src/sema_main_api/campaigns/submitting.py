"""A submission: copy the recipients, quote every one of them, reserve. One transaction, or nothing at all.

The balance is locked last, when all else is written: however long a list is, the account's other messages wait
only for the end of this transaction.
"""

import asyncio
from collections.abc import Container, Mapping
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from sema_common.billing import agents, ledger
from sema_common.billing.prices import PriceList
from sema_common.messages.campaigns import CampaignRow
from sema_common.platform.db import Tx
from sema_common.values.errors import Refused
from sema_common.values.senders import SenderRule
from sema_common.values.templates import Template
from sema_main_api.campaigns import rules
from sema_main_api.campaigns.store import campaigns, recipients
from sema_main_api.campaigns.store.campaigns import NewCampaign
from sema_main_api.http.callers import Caller
from sema_main_api.http.problems import not_found
from sema_main_api.http.senders import not_taken

SUBMIT_SECONDS: Final = 120.0
"""Longest submission. A million recipients took 18 s, with merge fields 65 s, on a busy machine."""

QUOTED_AT_ONCE: Final = 5_000
PRICED_AT_ONCE: Final = 200
"""Recipients priced in one go (some 2 ms): other requests come through in between."""

BEFORE_ALL: Final = ("", 0)


class Reference(Protocol):
    """What is decided by: prices, and what routes can carry."""

    @property
    def prices(self) -> PriceList: ...
    @property
    def sender_rules(self) -> Mapping[str, SenderRule]: ...
    def unreachable(self, mode: str, country: str, kind: str, encoding: str) -> Refused | None: ...


async def submit(
    tx: Tx,
    new: NewCampaign,
    template: Template,
    registered: Container[str],
    caller: Caller,
    reference: Reference,
    at: datetime,
) -> CampaignRow:
    """The campaign with its recipients, paid for in advance; Refused (402, 404, 409, 422), and then nothing is.

    `registered` are the countries that know its sender.
    """
    await require_validated(tx, new, caller)
    await campaigns.insert(tx, new)
    skipped = await recipients.copy_recipients(
        tx, new.id, new.tenant_id, new.contact_list_id, new.account_id, template.fields, SUBMIT_SECONDS
    )
    groups = await recipients.groups(tx, new.id, SUBMIT_SECONDS)
    pricer = pricer_for(template, new, registered, caller, reference, at)
    if template.fields:
        quote = await quote_each(tx, new.id, template, pricer)
    else:
        quote = await quote_groups(tx, new.id, groups, pricer)
    quote.require(template.fields)
    parts: dict[str, int] = {}
    for group in groups:
        parts[group.country] = max(group.last_seq, parts.get(group.country, 0))
    billed_to_agent = new.billing_account_id != new.account_id
    await recipients.insert_parts(
        tx, new.id, new.tenant_id, parts, pricer.prices, wholesale=billed_to_agent and not new.test
    )
    row = await campaigns.fix(tx, new.id, quote, skipped)
    if quote.held or quote.total:
        await reserve(tx, row)
    return row


async def require_validated(tx: Tx, new: NewCampaign, caller: Caller) -> None:
    """Refused (404, 409) unless the account has this list, and its numbers have been looked at."""
    busy = await campaigns.is_list_busy(tx, new.contact_list_id, caller.account_id)
    if busy is None:
        raise not_found()
    if busy:
        raise Refused(
            "list_not_validated", "The list is still being validated: wait for its job to end.", 409
        )


async def reserve(tx: Tx, campaign: CampaignRow) -> None:
    """Set aside what it may cost; Refused(402) when it does not fit the balance, or the limit that an agent has set."""
    payer = campaign.billing_account_id
    balance = (await ledger.lock_balances(tx, [payer])).get(payer)
    available = balance.available if balance else rules.FREE
    if available < campaign.reserved:
        if payer != campaign.account_id:
            raise rules.agent_insufficient()
        raise rules.insufficient(campaign.estimate, available, campaign.currency)
    if payer != campaign.account_id:
        left = await agents.left_to_spend(
            tx, [campaign.account_id]
        )  # this campaign is among what is held already
        if left.get(campaign.account_id, rules.FREE) < 0:
            raise rules.over_limit()
    await ledger.reserve(tx, payer, campaign.reserved, campaign.id)


def pricer_for(
    template: Template,
    new: NewCampaign,
    registered: Container[str],
    caller: Caller,
    reference: Reference,
    at: datetime,
) -> rules.Pricer:
    """The pricer of this text for this account, with the prices of this moment."""

    def price_of(country: str, mno: str | None) -> rules.Cost | None:
        rate = reference.prices.rate(caller, country, mno, at)
        if rate is None:
            return None
        if new.test:
            return rules.Cost(rules.FREE, rules.FREE)
        return rules.Cost(rate.price.per_segment, (rate.wholesale or rate.price).per_segment)

    def unreachable(country: str, encoding: str) -> Refused | None:
        return not_taken(new.sender, registered, country, reference.sender_rules) or reference.unreachable(
            caller.mode, country, "SMS", encoding
        )

    return rules.Pricer(template, new.on_missing, price_of, unreachable)


async def quote_groups(
    tx: Tx, campaign_id: UUID, groups: list[recipients.Group], pricer: rules.Pricer
) -> rules.Quote:
    """Everybody gets the same text: one price for each network."""
    quote = rules.Quote()
    for group in groups:
        priced = pricer.price(group.country, group.mno, {})
        quote.add(priced, group.recipients)
        if isinstance(priced, rules.Refusal):
            await recipients.refuse_group(tx, campaign_id, group, priced.wire(), SUBMIT_SECONDS)
    return quote


def quote_one(
    quote: rules.Quote,
    pricer: rules.Pricer,
    template: Template,
    country: str,
    mno: str | None,
    values: Mapping[str, str],
) -> rules.Cost | rules.Refusal:
    """Add one recipient to the quote; what the text of his own costs, or why there is none."""
    if len(values) < len(template.fields):
        quote.lacks(name for name in template.fields if name not in values)
    priced = pricer.price(country, mno, values)
    quote.add(priced)
    return priced


async def quote_each(tx: Tx, campaign_id: UUID, template: Template, pricer: rules.Pricer) -> rules.Quote:
    """Everybody gets a text of his own: each is rendered and measured."""
    quote = rules.Quote()
    after = BEFORE_ALL
    while True:
        some = await recipients.recipients(tx, campaign_id, after, QUOTED_AT_ONCE)
        refused = []
        for index, one in enumerate(some):
            if index % PRICED_AT_ONCE == PRICED_AT_ONCE - 1:
                await asyncio.sleep(0)
            priced = quote_one(quote, pricer, template, one.country, one.mno, one.fields or {})
            if isinstance(priced, rules.Refusal):
                refused.append((one.country, one.seq, priced.wire()))
        if refused:
            await recipients.refuse(tx, campaign_id, refused)
        if len(some) < QUOTED_AT_ONCE:
            return quote
        after = some[-1].country, some[-1].seq
