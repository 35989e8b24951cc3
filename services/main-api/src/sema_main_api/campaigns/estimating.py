"""An estimate: the same contacts and the same prices as a submission, read and not written."""

import asyncio
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sema_common.platform.db import Tx
from sema_common.values.templates import Template
from sema_main_api.campaigns import rules, submitting
from sema_main_api.campaigns.store import candidates, recipients
from sema_main_api.campaigns.store.campaigns import NewCampaign
from sema_main_api.campaigns.submitting import PRICED_AT_ONCE, QUOTED_AT_ONCE, SUBMIT_SECONDS, Reference
from sema_main_api.http.callers import Caller

SAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a submission would come to, with the first contacts of the list."""

    quote: rules.Quote
    skipped: recipients.Skipped
    first: list[candidates.Candidate]


async def estimate(
    tx: Tx,
    new: NewCampaign,
    template: Template,
    registered: Container[str],
    caller: Caller,
    reference: Reference,
    at: datetime,
) -> Estimate:
    """Quote the list; Refused (404, 409, 422) as its submission would be. Credit is not looked at."""
    await submitting.require_validated(tx, new, caller)
    pricer = submitting.pricer_for(template, new, registered, caller, reference, at)
    listed = new.contact_list_id, new.account_id
    quote = rules.Quote()
    if template.fields:
        async for some in candidates.candidates(tx, *listed, template.fields, QUOTED_AT_ONCE, SUBMIT_SECONDS):
            for index, one in enumerate(some):
                if index % PRICED_AT_ONCE == PRICED_AT_ONCE - 1:
                    await asyncio.sleep(0)
                submitting.quote_one(quote, pricer, template, one.country, one.mno, one.fields or {})
    else:
        for country, mno, number in await candidates.candidate_groups(tx, *listed, SUBMIT_SECONDS):
            quote.add(pricer.price(country, mno, {}), number)
    quote.require(template.fields)
    skipped = await recipients.count_skipped(tx, *listed, quote.contacts, SUBMIT_SECONDS)
    first = await candidates.first_candidates(tx, *listed, template.fields, SAMPLES, SUBMIT_SECONDS)
    return Estimate(quote, skipped, first)
