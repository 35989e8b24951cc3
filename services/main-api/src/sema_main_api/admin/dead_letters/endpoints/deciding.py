"""Decisions: a letter is sent again or given up. Committed with its audit line, published after.

Locks: the letter, then balances → messages → attempts.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeVar
from uuid import UUID

from pydantic import BaseModel
from starlette.responses import Response

from sema_common.billing import ledger
from sema_common.messages.ending import Ending, end_messages
from sema_common.messages.rejecting import reject_campaign
from sema_common.messages.status import FINAL
from sema_common.messages.store.attempts import Claim, claim
from sema_common.messages.store.campaigns import read_campaign
from sema_common.messages.store.reading import lock_status
from sema_common.platform.db import Tx
from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_common.wire.envelope import WireMessage
from sema_common.wire.queues import CONTACTS_VALIDATE, SMS_CONTENT
from sema_main_api.admin.dead_letters import metrics, schemas, store
from sema_main_api.admin.dead_letters.endpoints.deps import Deps, queue_of
from sema_main_api.admin.dead_letters.endpoints.reading import entry, report_keys
from sema_main_api.admin.dead_letters.rules import deciding as rules
from sema_main_api.admin.dead_letters.rules.known import Known
from sema_main_api.admin.dead_letters.rules.letters import Letter, Opened, name, open_letter
from sema_main_api.http.bodies import parse_body, require_json
from sema_main_api.http.callers import Staff
from sema_main_api.http.paging import Moment, moment, moment_of
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.store import Audit, write_audit

SOURCE: Final = "main-api"

M = TypeVar("M", bound=BaseModel)


async def republish(deps: Deps, request: Request, staff: Staff) -> Response:
    """The letter as it stands now. `told_at` null: RabbitMQ was away, and it is published as soon as it is back."""
    queue, letter_id = queue_of(request), request.path_id()
    body = await _body(request, schemas.Republish)
    async with deps.pipeline.transaction() as tx:
        found = await _lock(tx, queue, letter_id)
        correction: WireMessage | None = None
        opened = open_letter(found)
        names = [opened.named]
        if body.payload is not None:
            correction = rules.corrected(found, body.payload, body.type, body.version)
            names.append(name(body.payload))
        known = await store.read_known(tx, names, report_keys(opened))
        decided = await _republish(tx, found, opened, correction, known, staff, request, body.reason)
    return await _answer(deps, decided)


async def republish_many(deps: Deps, request: Request, staff: Staff) -> Response:
    """What became of each. A filter goes on where `next_cursor` says, past the letters that were skipped."""
    queue = queue_of(request)
    body = await _body(request, schemas.RepublishMany)
    next_cursor: str | None = None
    async with deps.pipeline.transaction(timeout=15.0) as tx:
        ids = body.ids or []
        if body.filter is not None:
            after = _cursor(body.cursor)
            found = await store.find_open(tx, queue, body.filter, after, body.limit + 1)
            ids = [letter_id for _, letter_id in found[: body.limit]]
            if len(found) > body.limit:
                next_cursor = moment(*found[body.limit - 1])
        letters = {letter.id: letter for letter in await store.lock_letters(tx, queue, ids)}
        opened = {letter.id: open_letter(letter) for letter in letters.values()}
        keys = [key for each in opened.values() for key in report_keys(each)]
        known = await store.read_known(tx, [each.named for each in opened.values()], keys)
        results: list[schemas.RepublishResult] = []
        decided: list[Letter] = []
        for letter_id in dict.fromkeys(ids):
            try:
                if (letter := letters.get(letter_id)) is None:
                    raise not_found()
                if _accounts(opened[letter_id], known) & known.suspended:
                    raise Refused("account_suspended", "Its account is suspended: send it by itself.", 409)
                decided.append(
                    await _republish(tx, letter, opened[letter_id], None, known, staff, request, body.reason)
                )
            except Refused as refused:
                results.append(_result(letter_id, refused))
            else:
                results.append(_result(letter_id, None))
    await deps.telling.tell(decided)
    return json_response(
        schemas.RepublishResults(
            data=results,
            republished=len(decided),
            skipped=len(results) - len(decided),
            next_cursor=next_cursor,
        )
    )


async def discard(deps: Deps, request: Request, staff: Staff) -> Response:
    """The letter as it stands now."""
    queue, letter_id = queue_of(request), request.path_id()
    body = await _body(request, schemas.Reasoned)
    async with deps.pipeline.transaction() as tx:
        found = await _lock(tx, queue, letter_id)
        decided = found
        ended = 0
        if found.state == "republished":
            raise _decided(found)
        if found.state == "open":
            at = now()
            changed = await _give_up(tx, found, at)
            ended = len(changed.get("messages", ()))
            told_at = None if changed.get("messages") or changed.get("campaign") else at
            decided = await store.decide(
                tx,
                replace(
                    found, state="discarded", decided_at=at, decided_by=str(staff.user_id), told_at=told_at
                ),
            )
            await _audit(tx, staff, request, "dead_letter.discarded", found, changed, body.reason)
    if found.state == "open":
        metrics.DECIDED.labels(queue, "discarded").inc()
        metrics.ENDED.inc(ended)
    return await _answer(deps, decided)


async def _republish(
    tx: Tx,
    letter: Letter,
    opened: Opened,
    correction: WireMessage | None,
    known: Known,
    staff: Staff,
    request: Request,
    reason: str | None,
) -> Letter:
    if letter.state == "discarded":
        raise _decided(letter)
    if letter.state == "republished":
        if correction is not None and rules.body_of(correction) != letter.sent_body:
            raise _decided(letter)
        return letter
    at = now()
    out = rules.prepare(letter, opened, correction, known, at)
    decided = await store.decide(
        tx,
        replace(
            letter,
            state="republished",
            decided_at=at,
            decided_by=str(staff.user_id),
            sent_type=out.type,
            sent_version=out.version,
            sent_body=out.body,
        ),
    )
    after = {"corrected": correction is not None, "type": out.type, "version": out.version}
    await _audit(tx, staff, request, "dead_letter.republished", letter, after, reason)
    metrics.DECIDED.labels(letter.queue, "republished").inc()
    return decided


async def _give_up(tx: Tx, letter: Letter, at: datetime) -> dict[str, Any]:
    """Do what is right for its kind; what was changed, for the audit log."""
    opened = open_letter(letter)
    named = opened.named
    if letter.queue == SMS_CONTENT and named.campaign_id is not None:
        return await _reject(tx, named.campaign_id, at)
    if letter.queue == CONTACTS_VALIDATE and named.job_id is not None:
        failed = await store.fail_validation(tx, named.job_id, at)
        return {"validation": str(named.job_id)} if failed else {}
    if named.jobs:
        return await _end(tx, opened, at)
    return {}


async def _reject(tx: Tx, campaign_id: UUID, at: datetime) -> dict[str, Any]:
    if (campaign := await read_campaign(tx, campaign_id)) is None:
        return {}
    released = await reject_campaign(tx, campaign, rules.NOT_SCREENED, at)
    if released is None:
        return {}
    return {"campaign": str(campaign_id), "released": str(released)}


async def _end(tx: Tx, opened: Opened, at: datetime) -> dict[str, Any]:
    """Fail and refund the messages that nobody has submitted. Their attempts are claimed, so that nobody will."""
    known = await store.read_known(tx, [opened.named])
    wanted = rules.unclaimed(opened, known)
    rows = {message_id: known.messages[message_id] for message_id in wanted}
    if not rows:
        return {}
    await ledger.lock_balances(tx, {row.billing_account_id for row in rows.values()})
    statuses = await lock_status(tx, list(rows))
    claims = [
        Claim(row.message_id, wanted[row.message_id], row.tenant_id, row.lane, "")
        for row in rows.values()
        if statuses[row.message_id] not in FINAL
    ]
    ours = await claim(tx, claims, at) if claims else set()
    endings = [
        Ending(rules.dead_lettered(rows[message_id], attempt, at), rows[message_id].billing_account_id)
        for message_id, attempt in sorted(ours)
    ]
    ended = await end_messages(tx, endings, SOURCE)
    return (
        {"messages": [str(each.message_id) for each in ended.now], "refunds": ended.refunds} if ours else {}
    )


async def _lock(tx: Tx, queue: str, letter_id: UUID) -> Letter:
    found = await store.lock_letters(tx, queue, [letter_id])
    if not found:
        raise not_found()
    return found[0]


async def _answer(deps: Deps, decided: Letter) -> Response:
    if await deps.telling.tell([decided]):
        decided = replace(decided, told_at=now())
    return json_response(entry(decided))


async def _audit(
    tx: Tx,
    staff: Staff,
    request: Request,
    action: str,
    letter: Letter,
    after: Mapping[str, Any],
    reason: str | None,
) -> None:
    before = {"state": letter.state, "queue": letter.queue, "reason": letter.reason}
    state = {"state": action.partition(".")[2]}
    await write_audit(
        tx,
        Audit.by_staff(
            staff,
            request.request_id,
            action,
            ("dead_letter", letter.id),
            before=before,
            after={**state, **after},
            reason=reason,
        ),
    )


async def _body(request: Request, model: type[M]) -> M:
    """These calls may come without a body."""
    raw = await request.body()
    if raw:
        require_json(request)
    return parse_body(raw or b"{}", model)


def _accounts(opened: Opened, known: Known) -> set[UUID]:
    told = {known.messages[each].account_id for each in opened.named.messages if each in known.messages}
    return told | opened.named.accounts


def _cursor(text: str | None) -> Moment | None:
    if text is None:
        return None
    try:
        return moment_of(text)
    except ValueError:
        raise Refused("invalid_cursor", "The cursor is not one of this call.", 400) from None


def _decided(letter: Letter) -> Refused:
    return Refused("already_decided", f"The letter was {letter.state} before.", 409)


def _result(letter_id: UUID, refused: Refused | None) -> schemas.RepublishResult:
    return schemas.RepublishResult(
        id=letter_id,
        republished=refused is None,
        code=None if refused is None else refused.code,
        detail=None if refused is None else refused.detail,
    )
