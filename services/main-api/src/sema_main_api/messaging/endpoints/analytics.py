"""GET /v1/analytics/messages: an account's own messages, counted behind the tenant's wall."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Final, Literal

from pydantic import AwareDatetime, Field
from starlette.responses import Response

from sema_common.values.clock import now
from sema_common.values.errors import FieldError
from sema_common.values.money import Money
from sema_main_api.http.bodies import Query, invalid, read_query
from sema_main_api.http.callers import Caller
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.schemas import MoneyObject
from sema_main_api.messaging import schemas, store
from sema_main_api.messaging.endpoints.deps import Messaging
from sema_main_api.messaging.endpoints.reading import FAR_PAST
from sema_main_api.messaging.store import CountRow

WINDOW: Final = timedelta(days=31)
"""Messages are counted when they are asked for: the longest month, and no more at a time."""

MAX_GROUPS: Final = 1000

GroupBy = Literal["day", "mno", "country", "sender", "campaign"]


class AnalyticsQuery(Query):
    """At most 31 days; without a start the 31 days up to the end, without an end up to now."""

    group_by: GroupBy = "day"
    created_after: AwareDatetime | None = Field(default=None, description="From then on.")
    created_before: AwareDatetime | None = Field(default=None, description="Before then.")


async def count(deps: Messaging, request: Request, caller: Caller) -> Response:
    """Counts by status, and cost: at retail for an agent's customer, as his messages say it."""
    query = read_query(request, AnalyticsQuery)
    since, before = window(query, now())
    async with deps.tenant.of(caller) as tx:
        rows = await store.counts(tx, caller.account_id, since, before, query.group_by, MAX_GROUPS + 1)
    groups = [
        _group(list(of_group), caller.currency)
        for _, of_group in groupby(rows, lambda row: (row.key, row.country))
    ]
    shown = groups[:MAX_GROUPS]
    if query.group_by == "day":
        shown.sort(key=lambda group: group.key or "")
    return json_response(
        schemas.Analytics(
            group_by=query.group_by,
            created_after=since,
            created_before=before,
            data=shown,
            truncated=len(groups) > MAX_GROUPS,
        )
    )


def window(query: AnalyticsQuery, at: datetime) -> tuple[datetime, datetime]:
    """From when and until when; Refused(422) for more than 31 days, or for none."""
    before = query.created_before or at
    if before < FAR_PAST:
        raise invalid([FieldError("created_before", "out_of_range", "There was nothing before 2000.")])
    since = query.created_after or before - WINDOW
    if not timedelta(0) < before - since <= WINDOW:
        detail = "created_after comes before created_before, by at most 31 days."
        raise invalid([FieldError("created_after", "out_of_range", detail)])
    return since, before


def _group(rows: Sequence[CountRow], currency: str) -> schemas.MessageGroup:
    def money(amounts: Sequence[Decimal]) -> MoneyObject:
        return MoneyObject(**Money(sum(amounts, Decimal(0)), currency).wire())

    return schemas.MessageGroup(
        key=rows[0].key,
        country=rows[0].country,
        messages=sum(row.messages for row in rows),
        segments=sum(row.segments for row in rows),
        by_status=schemas.ByStatus.model_validate({row.status: row.messages for row in rows}),
        cost=money([row.cost for row in rows]),
        refunded=money([row.refunded for row in rows]),
    )
