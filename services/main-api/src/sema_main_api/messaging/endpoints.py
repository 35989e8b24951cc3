"""The messaging routes: read, decide, accept, answer."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import AwareDatetime, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from sema_common.messages.store import idempotency
from sema_common.messages.store.accepting import NewMessage
from sema_common.messages.store.rows import MessageRow
from sema_common.messages.view import message_object, of_row
from sema_common.platform import telemetry
from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.values.clock import now, wire_time
from sema_common.values.errors import Refused
from sema_common.values.ids import id_time, parse_message_id
from sema_common.values.money import Money
from sema_common.values.public_url import UnsafeUrl, check_public_url
from sema_common.values.segments import advice
from sema_main_api.http import bodies, problems
from sema_main_api.http.callers import Caller
from sema_main_api.http.limits import Limits
from sema_main_api.http.paging import PageQuery, Pager
from sema_main_api.http.responses import json_response
from sema_main_api.http.rules import idempotency_key
from sema_main_api.http.store import tenant_tx
from sema_main_api.messaging import metrics, rules, store
from sema_main_api.messaging.accepting import Accepting
from sema_main_api.messaging.reference import ReferenceData
from sema_main_api.messaging.rules import Answer, Key, Submission
from sema_main_api.messaging.schemas import BatchRequest, SendRequest

log = get_logger()

YIELD_EVERY: Final = 50
"""Items of a batch judged in one go (about 3 ms): single sends of others come through in between."""


@dataclass(frozen=True, slots=True)
class Messaging:
    """What the routes work with."""

    accepting: Accepting
    reference: ReferenceData
    limits: Limits
    pipeline: Database
    tenant: Database
    allow_loopback: bool

    # ---- accepting

    async def send(self, request: Request, caller: Caller) -> Response:
        """POST /v1/messages: 202 once the message is durable and paid."""
        bodies.require_json(request)
        raw = await request.body()
        wanted = bodies.parse_body(raw, SendRequest)
        rates = await self._let_in(caller, {wanted.lane: 1})
        key = call_key(request, caller, raw)
        try:
            message = await self._admit(wanted, caller, key)
        except Refused as refused:
            return await self._replayed_or(refused, caller, key, rates)
        submission = Submission(caller, [message], lambda _: accepted_object(message), key)
        answer = await self._accept(submission)
        return json_response(answer.body, 202, answered(rates, answer))

    async def send_batch(self, request: Request, caller: Caller) -> Response:
        """POST /v1/messages/batch: each item stands alone; 202 with a result per item."""
        bodies.require_json(request)
        raw = await request.body()
        items = bodies.parse_body(raw, BatchRequest).messages
        requests = [parse_item(item) for item in items]
        rates = await self._let_in(caller, lanes(requests))
        key = call_key(request, caller, raw)
        admitted: list[NewMessage | Refused] = []
        for index, wanted in enumerate(requests):
            if index % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
            try:
                admitted.append(
                    wanted if isinstance(wanted, Refused) else await self._admit(wanted, caller, key)
                )
            except Refused as refused:
                admitted.append(refused)
        messages = [item for item in admitted if isinstance(item, NewMessage)]
        submission = Submission(
            caller, messages, lambda unpaid: batch_object(admitted, unpaid), key, batch=True
        )
        answer = await self._accept(submission)
        return json_response(answer.body, 202, answered(rates, answer))

    async def estimate(self, request: Request, caller: Caller) -> Response:
        """POST /v1/messages/estimate: what it would cost and how it would be cut; charges nothing."""
        wanted = await bodies.read_body(request, SendRequest)
        quoted = rules.quote(wanted, caller, self.reference.current, now())
        return json_response(
            {
                "encoding": quoted.segments.encoding,
                "units": quoted.segments.units,
                "segments": quoted.segments.segments,
                "cost": Money(quoted.cost, caller.currency).wire(),
                "mno": quoted.mno,
                "country": quoted.country,
                "advice": [
                    {"character": a.character, "replacement": a.replacement, "detail": a.detail}
                    for a in advice(wanted.body)
                ],
            }
        )

    async def _let_in(self, caller: Caller, wanted: Mapping[str, int]) -> dict[str, str]:
        """The rate limit's headers, or Refused."""
        if caller.account_status != "active":
            raise Refused("account_suspended", "This account is suspended; please contact support.", 403)
        headers: dict[str, str] = {}
        for lane, count in wanted.items():
            headers = await self.limits.take(caller, lane, count)
        return headers

    async def _admit(self, wanted: SendRequest, caller: Caller, key: Key | None) -> NewMessage:
        if wanted.callback_url is not None:
            check_callback_url(wanted.callback_url, self.allow_loopback)
        approved = await self.reference.senders(caller.account_id, wanted.sender)
        try:
            return rules.admit(
                wanted,
                caller,
                self.reference.current,
                approved,
                now(),
                idempotency_hash=key.hash if key else None,
                traceparent=telemetry.traceparent(),
            )
        except Refused as refused:
            metrics.REFUSED.labels(refused.code).inc()
            raise

    async def _accept(self, submission: Submission) -> Answer:
        try:
            answer = await self.accepting.accept(submission)
        except Refused as refused:
            metrics.REFUSED.labels(refused.code).inc()
            raise
        if answer.replayed:
            metrics.REPLAYED.inc()
        else:
            for message in submission.messages:
                metrics.accepted(message.lane, submission.asker.mode).inc()
        return answer

    async def _replayed_or(
        self, refused: Refused, caller: Caller, key: Key | None, rates: Mapping[str, str]
    ) -> Response:
        """What was accepted before under this key is answered again, even if it would be refused today."""
        if key is not None:
            async with self.pipeline.transaction() as tx:
                kept = await idempotency.find_kept(tx, [key.hash], now())
            if key.hash in kept:
                answer = rules.replay(kept[key.hash], key)
                if isinstance(answer, Refused):
                    raise answer
                metrics.REPLAYED.inc()
                return json_response(answer.body, 202, answered(rates, answer))
        raise refused

    # ---- reading

    async def get(self, request: Request, caller: Caller) -> Response:
        """GET /v1/messages/{id}."""
        message_id = path_id(request)
        async with tenant_tx(self.tenant, caller) as tx:
            row = await store.message(tx, message_id, id_time(message_id), caller.account_id)
        if row is None:
            raise problems.not_found()
        return json_response(of_row(row))

    async def events(self, request: Request, caller: Caller) -> Response:
        """GET /v1/messages/{id}/events: the whole journey, oldest first."""
        message_id = path_id(request)
        async with tenant_tx(self.tenant, caller) as tx:
            if await store.message(tx, message_id, id_time(message_id), caller.account_id) is None:
                raise problems.not_found()
            rows = await store.events(tx, message_id, id_time(message_id))
        data = [
            {
                "status": row["status"],
                "occurred_at": wire_time(row["occurred_at"]),
                "source": row["source"],
                "detail": row["detail"] or {},
            }
            for row in rows
        ]
        return json_response({"data": data})

    async def list(self, request: Request, caller: Caller) -> Response:
        """GET /v1/messages with filters, newest first."""
        metadata, query = read_list_query(request)
        pager = Pager("messages", caller.account_id, query)
        last = pager.after(UUID)
        async with tenant_tx(self.tenant, caller) as tx:
            rows = await store.messages(
                tx,
                caller.account_id,
                before=(id_time(last), last) if last else (query.created_before or FAR_FUTURE, LAST_ID),
                since=query.created_after or FAR_PAST,
                status=query.status,
                to=query.to,
                sender=query.sender,
                campaign_id=query.campaign_id,
                metadata=metadata or None,
                limit=pager.fetch,
            )
        return json_response(pager.page(rows, of_row, message_id_of))


FAR_PAST: Final = datetime(2000, 1, 1, tzinfo=UTC)
FAR_FUTURE: Final = datetime(9999, 1, 1, tzinfo=UTC)
LAST_ID: Final = UUID(int=2**128 - 1)


class ListQuery(PageQuery):
    """Filters of the list; `metadata.KEY=value` may be given besides, for any key."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False, frozen=True)

    status: Literal["submitted", "queued", "sent", "delivered", "failed", "expired"] | None = None
    to: Annotated[str | None, Field(max_length=64)] = None
    sender: Annotated[str | None, Field(alias="from", max_length=64)] = None
    campaign_id: UUID | None = None
    created_after: AwareDatetime | None = None
    created_before: AwareDatetime | None = None
    metadata: Annotated[str | None, Field(exclude=False)] = None


def message_id_of(row: MessageRow) -> UUID:
    """What a page of messages continues after."""
    return row.message_id


def path_id(request: Request) -> UUID:
    """The message id in the path, `msg_…` or bare; 404 for what cannot be one of ours."""
    try:
        return parse_message_id(request.path_params["id"])
    except ValueError:
        raise problems.not_found() from None


def check_callback_url(url: str, allow_loopback: bool) -> None:
    """422 unless we would dial this URL."""
    try:
        check_public_url(url, allow_loopback=allow_loopback)
    except UnsafeUrl as exc:
        raise rules.invalid(
            "callback_url", "invalid_url", f"This URL cannot be called: {exc.reason}"
        ) from None


def call_key(request: Request, caller: Caller, raw: bytes) -> Key | None:
    """The call's Idempotency-Key, hashed for its account, with the call's fingerprint; Refused when malformed."""
    header = request.headers.get("idempotency-key")
    if header is None:
        return None
    key = idempotency_key(header)
    if key is None:
        raise Refused("invalid_idempotency_key", "An Idempotency-Key has 1 to 255 printable characters.", 400)
    return Key(
        idempotency.key_hash(caller.account_id, key),
        idempotency.fingerprint(request.method, request.url.path, raw),
    )


def parse_item(item: Any) -> SendRequest | Refused:
    """One item of a batch, or what is wrong with it."""
    try:
        return bodies.parse_value(item, SendRequest)
    except Refused as refused:
        return refused


def lanes(requests: Sequence[SendRequest | Refused]) -> dict[str, int]:
    """How many messages of each lane a batch asks for; items that are no message count as normal ones."""
    counts: dict[str, int] = {}
    for wanted in requests:
        lane = "normal" if isinstance(wanted, Refused) else wanted.lane
        counts[lane] = counts.get(lane, 0) + 1
    return counts


def answered(rates: Mapping[str, str], answer: Answer) -> dict[str, str]:
    """The headers of a 202."""
    return {**rates, "idempotent-replayed": "true"} if answer.replayed else dict(rates)


def accepted_object(message: NewMessage) -> dict[str, Any]:
    """The message object as it is at acceptance."""
    return message_object(message, status="submitted", created_at=message.enqueued_at)


def batch_object(admitted: Sequence[NewMessage | Refused], unpaid: Mapping[UUID, Refused]) -> dict[str, Any]:
    """The answer to a batch: per item a message or a problem."""
    data: list[dict[str, Any]] = []
    for index, item in enumerate(admitted):
        refused = item if isinstance(item, Refused) else unpaid.get(item.message_id)
        if refused is None:
            assert isinstance(item, NewMessage)
            data.append({"index": index, "message": accepted_object(item)})
        else:
            data.append({"index": index, "error": problems.of_error(refused)[0]})
    rejected = sum("error" in entry for entry in data)
    return {"data": data, "accepted": len(data) - rejected, "rejected": rejected}


def read_list_query(request: Request) -> tuple[dict[str, str], ListQuery]:
    """The list's filters; `metadata.KEY` parameters are taken out and bound to the cursor as one value."""
    items = request.query_params.multi_items()
    metadata = {name[9:]: value for name, value in items if name.startswith("metadata.") and len(name) > 9}
    rest = {name: value for name, value in items if not name.startswith("metadata.")}
    query = bodies.parse_value(rest, ListQuery)
    return metadata, query.model_copy(
        update={"metadata": str(sorted(metadata.items())) if metadata else None}
    )
