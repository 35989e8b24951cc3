"""/v1/statements and the ledger as CSV: read in pages, so that a million movements need no more memory than one."""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, date, datetime
from typing import Final

from starlette.responses import Response, StreamingResponse

from sema_common.billing import statements
from sema_common.billing.ledger import Entry
from sema_common.billing.statements import LAST_MONTH, Span, Statement, next_month
from sema_common.values.clock import now, wire_time
from sema_common.values.money import wire
from sema_main_api.billing import schemas
from sema_main_api.billing.endpoints import Deps, money, refuse_billed_to_agent
from sema_main_api.http.bodies import read_query
from sema_main_api.http.callers import Caller
from sema_main_api.http.paging import PageQuery, Pager
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.routing import Operation

ROWS: Final = 2_000
"""Movements in one page of a CSV: some 200 kB."""

COLUMNS: Final = ("entry", "time", "kind", "reference", "amount", "balance", "currency")


async def list_statements(deps: Deps, request: Request, caller: Caller) -> Response:
    """Every month since the first movement, newest first."""
    refuse_billed_to_agent(caller)
    pager = Pager("statements", caller.account_id, read_query(request, PageQuery))
    until = pager.after(_month) or LAST_MONTH
    async with deps.tenant.of(caller) as tx:
        found = await statements.read_statements(tx, caller.account_id, until, now().date())
    newest = found[::-1][: pager.fetch]
    return json_response(pager.page(newest, _show, lambda statement: f"{statement.month:%Y-%m}"))


async def statement(deps: Deps, request: Request, caller: Caller) -> Response:
    """One month."""
    return json_response(_show(await _read(deps, request, caller)))


async def statement_csv(deps: Deps, request: Request, caller: Caller) -> Response:
    """The opening balance, every movement, the closing balance. A month that has not ended goes up to now."""
    found = await _read(deps, request, caller)
    since, until = _midnight(found.month), _midnight(next_month(found.month))

    async def pages() -> AsyncIterator[str]:
        balance = found.opening
        yield _lines(
            [COLUMNS, ("", wire_time(since), "opening_balance", "", "", wire(balance), found.currency)]
        )
        async for rows in _entries(deps, caller, since, until):
            balance += sum(entry.amount for entry in rows)
            yield _lines(_row(entry, found.currency) for entry in rows)
        ended = wire_time(min(until, now()))
        yield _lines([("", ended, "closing_balance", "", "", wire(balance), found.currency)])

    return _csv(pages(), f"statement-{found.month:%Y-%m}.csv")


async def ledger_csv(deps: Deps, request: Request, caller: Caller) -> Response:
    """Every movement of a span of time, oldest first."""
    refuse_billed_to_agent(caller)
    query = read_query(request, schemas.LedgerSpan)
    # Before the 200: the days around a span in the years 1 or 9999 are in no calendar.
    earliest, latest = datetime(2000, 1, 1, tzinfo=UTC), now()
    since = min(max(query.created_after or earliest, earliest), latest)
    until = min(max(query.created_before or latest, earliest), latest)

    async def pages() -> AsyncIterator[str]:
        yield _lines([COLUMNS])
        async for rows in _entries(deps, caller, since, until):
            yield _lines(_row(entry, caller.currency) for entry in rows)

    return _csv(pages(), "ledger.csv")


async def _read(deps: Deps, request: Request, caller: Caller) -> Statement:
    refuse_billed_to_agent(caller)
    try:
        month = _month(request.path_params["month"])
    except ValueError:
        raise not_found() from None
    async with deps.tenant.of(caller) as tx:
        found = await statements.read_statements(tx, caller.account_id, next_month(month), now().date())
    if not found or found[-1].month != month:
        raise not_found()
    return found[-1]


async def _entries(
    deps: Deps, caller: Caller, since: datetime, until: datetime
) -> AsyncIterator[list[Entry]]:
    """A page at a time, each in a transaction of its own: a slow reader holds no connection."""
    span: Span | None = None
    after = 0
    while True:
        async with deps.tenant.of(caller) as tx:
            if span is None:
                span = await statements.find_span(tx, caller.account_id, since, until)
            rows = await statements.read_span(tx, caller.account_id, span, after, ROWS)
        yield rows
        if len(rows) < ROWS:
            return
        after = rows[-1].entry_id


def _row(entry: Entry, currency: str) -> tuple[str, ...]:
    return (
        str(entry.entry_id),
        wire_time(entry.created_at),
        entry.kind,
        str(entry.reference),
        wire(entry.amount),
        wire(entry.balance_after),
        currency,
    )


def _lines(rows: Iterable[tuple[str, ...]]) -> str:
    """CSV of what we wrote ourselves: `tables.write` would put a quote before each minus."""
    return "".join(",".join(row) + "\r\n" for row in rows)


def _show(found: Statement) -> schemas.StatementObject:
    return schemas.StatementObject(
        month=f"{found.month:%Y-%m}",
        opening_balance=money(found.opening, found.currency),
        closing_balance=money(found.closing, found.currency),
        movements=[
            schemas.MovementsObject.model_validate(
                {"kind": m.kind, "entries": m.entries, "amount": money(m.amount, found.currency)}
            )
            for m in found.movements
        ],
        final=found.final,
    )


def _csv(pages: AsyncIterator[str], filename: str) -> Response:
    disposition = {"content-disposition": f'attachment; filename="{filename}"'}
    return StreamingResponse(pages, headers=disposition, media_type="text/csv; charset=utf-8")


def _month(text: str) -> date:
    """`2026-11`; ValueError for anything else, and for a month that no statement could be of."""
    month = datetime.strptime(text, "%Y-%m").date() if len(text) == 7 else None  # noqa: DTZ007
    if month is None or not date(2000, 1, 1) <= month <= LAST_MONTH:
        raise ValueError("a month is written 2026-11")
    return month


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


_TAG: Final = "Money"
_BILLED: Final = {403: "`billed_to_agent`"}

OPERATIONS: Final = (
    Operation(
        "GET", "/v1/ledger.csv", ledger_csv, "Every movement of credit, as CSV", _TAG,
        scope="billing:read", query=schemas.LedgerSpan, produces="text/csv", problems=_BILLED,
    ),
    Operation(
        "GET", "/v1/statements", list_statements, "Monthly statements", _TAG,
        scope="billing:read", query=PageQuery, answers={200: schemas.StatementList}, problems=_BILLED,
    ),
    Operation(
        "GET", "/v1/statements/{month}.csv", statement_csv, "A statement as CSV, with every movement", _TAG,
        scope="billing:read", produces="text/csv", problems=_BILLED,
    ),
    Operation(
        "GET", "/v1/statements/{month}", statement, "A statement", _TAG,
        scope="billing:read", answers={200: schemas.StatementObject}, problems=_BILLED,
    ),
)  # fmt: skip
