"""What is in the dead-letter office: by queue, as a list, and one letter with all that is known of it."""

from hashlib import sha256

from starlette.responses import Response

from sema_aggregators import Unreadable
from sema_common.values.clock import now
from sema_common.values.errors import Refused
from sema_common.wire.queues import QUEUES
from sema_main_api.admin.dead_letters import schemas, store
from sema_main_api.admin.dead_letters.endpoints.deps import Deps, queue_of
from sema_main_api.admin.dead_letters.rules import effects
from sema_main_api.admin.dead_letters.rules.known import Known
from sema_main_api.admin.dead_letters.rules.letters import Letter, Opened, open_letter
from sema_main_api.admin.dead_letters.rules.masking import headers_shown, masked
from sema_main_api.http.bodies import read_query
from sema_main_api.http.callers import Staff
from sema_main_api.http.paging import Pager, moment, moment_of
from sema_main_api.http.problems import not_found
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.http.store import Audit, write_audit


async def queues(deps: Deps, _: Request, __: Staff) -> Response:
    """Every queue, also those without a letter."""
    async with deps.pipeline.transaction() as tx:
        counts = await store.count(tx)
    none = (0, None)
    data = [
        schemas.DeadQueue(
            queue=queue,
            open=counts.get((queue, "open"), none)[0],
            republished=counts.get((queue, "republished"), none)[0],
            discarded=counts.get((queue, "discarded"), none)[0],
            oldest_open_at=counts.get((queue, "open"), none)[1],
        )
        for queue in QUEUES
    ]
    return json_response(schemas.DeadQueues(data=data))


async def letters(deps: Deps, request: Request, staff: Staff) -> Response:
    """Letters of one queue, newest first; open ones unless another state is asked for."""
    queue = queue_of(request)
    query = read_query(request, schemas.LetterQuery)
    pager = Pager(f"dlq:{queue}", staff.user_id, query)
    before = pager.after(moment_of)
    async with deps.pipeline.transaction() as tx:
        rows = await store.list_letters(tx, queue, query, before, pager.fetch)
    return json_response(
        pager.page(rows, schemas.DeadLetterEntry.model_validate, lambda row: moment(row.dead_at, row.id))
    )


async def letter(deps: Deps, request: Request, staff: Staff) -> Response:
    """One letter. Revealing it is noted in the audit log before it is shown."""
    queue, letter_id = queue_of(request), request.path_id()
    reveal = read_query(request, schemas.RevealQuery).reveal
    if reveal and staff.role != "staff_admin":
        raise Refused("forbidden", "Your role sees payloads masked.", 403)
    async with deps.pipeline.transaction() as tx:
        found = await store.read_letter(tx, queue, letter_id)
        if found is None:
            raise not_found()
        opened = open_letter(found)
        known = await store.read_known(tx, [opened.named], report_keys(opened))
        if reveal:
            subject = ("dead_letter", found.id)
            await write_audit(tx, Audit.by_staff(staff, request.request_id, "dead_letter.revealed", subject))
    return json_response(_shown(found, opened, known, reveal))


def report_keys(opened: Opened) -> list[tuple[str, str]]:
    """The (aggregator, aggregator's id) of every report that can be read in it."""
    keys: list[tuple[str, str]] = []
    for report in opened.named.reports:
        try:
            read = effects.reports_in(report)
        except Unreadable as unreadable:
            read = list(unreadable.reports)
        keys += [(report.aggregator, each.aggregator_id) for each in read]
    return keys


def entry(found: Letter) -> schemas.DeadLetterEntry:
    """A letter as lists show it."""
    return schemas.DeadLetterEntry(
        id=found.id,
        queue=found.queue,
        state=found.state,
        reason=found.reason,
        type=found.type,
        version=found.version,
        size=len(found.body),
        deliveries=found.delivery_count,
        dead_at=found.dead_at,
        decided_at=found.decided_at,
        decided_by=found.decided_by,
        told_at=found.told_at,
    )


def _shown(found: Letter, opened: Opened, known: Known, reveal: bool) -> schemas.DeadLetter:
    at = now()
    return schemas.DeadLetter(
        **entry(found).model_dump(),
        headers=dict(found.headers) if reveal else headers_shown(found.headers),
        payload=opened.plain if reveal else masked(opened.plain),
        text=found.body.decode("utf-8", "replace") if reveal and opened.plain is None else None,
        sha256=sha256(found.body).hexdigest(),
        revealed=reveal,
        problems=[schemas.LetterProblem.model_validate(each) for each in opened.problems],
        replay=[schemas.LetterEffect.model_validate(each) for each in effects.replay(opened, known, at)],
        discard=[
            schemas.LetterEffect.model_validate(each)
            for each in effects.discard(found, opened.named, known, at)
        ],
    )
