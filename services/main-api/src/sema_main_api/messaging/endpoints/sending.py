"""POST /v1/messages, /batch and /estimate: read, decide, accept, answer."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from starlette.responses import Response

from sema_common.messages.store import idempotency
from sema_common.messages.store.accepting import NewMessage
from sema_common.messages.view import message_object
from sema_common.platform import telemetry
from sema_common.platform.faults import fault
from sema_common.values.clock import now
from sema_common.values.errors import OutcomeUnknown, Refused, RetryLater
from sema_common.values.money import Money
from sema_common.values.public_url import UnsafeUrl, check_public_url
from sema_common.values.segments import advice
from sema_main_api.http import bodies, problems
from sema_main_api.http.callers import Caller
from sema_main_api.http.idempotency import key_of
from sema_main_api.http.requests import Request
from sema_main_api.http.responses import json_response
from sema_main_api.messaging import metrics
from sema_main_api.messaging.endpoints.deps import Messaging
from sema_main_api.messaging.rules import admission
from sema_main_api.messaging.rules.crediting import Answer, Key, Submission, replay
from sema_main_api.messaging.schemas import BatchRequest, SendRequest

YIELD_EVERY: Final = 50
"""Items of a batch judged in one go (about 3 ms): single sends of others come through in between."""


async def send(deps: Messaging, request: Request, caller: Caller) -> Response:
    """POST /v1/messages: 202 once the message is durable and paid."""
    fault("api.after_auth")
    bodies.require_json(request)
    raw = await request.body()
    wanted = bodies.parse_body(raw, SendRequest)
    rates = await let_in(deps, caller, {wanted.lane: 1})
    key = call_key(request, caller, raw)
    try:
        message = await admit(deps, wanted, caller, key)
        [held] = await deps.guards.take(caller, [message])
        if held is not None:
            raise held
    except Refused as refused:
        answer = await answered_before(deps, key) if key else None
        if answer is None:
            raise refused
    else:
        submission = Submission(caller, [message], lambda _: accepted_object(message), key)
        answer = await accept(deps, caller, submission)
        count(answer, caller, [answer.body])
    fault("api.before_response")
    request.noted["message_id"] = answer.body["id"]
    return respond(answer, rates)


async def send_batch(deps: Messaging, request: Request, caller: Caller) -> Response:
    """POST /v1/messages/batch: each item stands alone; 202 with a result per item."""
    bodies.require_json(request)
    raw = await request.body()
    items = bodies.parse_body(raw, BatchRequest).messages
    requests = [parse_item(item) for item in items]
    rates = await let_in(deps, caller, lanes(requests))
    key = call_key(request, caller, raw)
    admitted: list[NewMessage | Refused] = []
    for index, wanted in enumerate(requests):
        if index % YIELD_EVERY == YIELD_EVERY - 1:
            await asyncio.sleep(0)
        try:
            admitted.append(wanted if isinstance(wanted, Refused) else await admit(deps, wanted, caller, key))
        except Refused as refused:
            admitted.append(refused)
    decided = await guard(deps, caller, admitted)
    messages = [item for item in decided if isinstance(item, NewMessage)]
    if held := sum(isinstance(item, NewMessage) for item in admitted) - len(messages):
        request.noted["held"] = held
    submission = Submission(caller, messages, lambda unpaid: batch_object(decided, unpaid), key, batch=True)
    answer = await accept(deps, caller, submission)
    count(answer, caller, (entry["message"] for entry in answer.body["data"] if "message" in entry))
    request.noted["accepted"] = answer.body["accepted"]
    return respond(answer, rates)


async def estimate(deps: Messaging, request: Request, caller: Caller) -> Response:
    """POST /v1/messages/estimate: what it would cost and how it would be cut; charges nothing."""
    wanted = await bodies.read_body(request, SendRequest)
    quoted = admission.quote(wanted, caller, deps.reference.current, now())
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


async def let_in(deps: Messaging, caller: Caller, wanted: Mapping[str, int]) -> Mapping[str, str]:
    """The rate limit's headers; Refused when the account is suspended or too fast."""
    caller.require_active()
    return await deps.limits.take(caller, wanted)


async def admit(deps: Messaging, wanted: SendRequest, caller: Caller, key: Key | None) -> NewMessage:
    """The message that is wanted, judged and priced; Refused where it may not be."""
    if wanted.callback_url is not None:
        check_callback_url(wanted.callback_url, deps.allow_loopback)
    approved = await deps.reference.senders(caller.account_id, wanted.sender)
    at = now()
    try:
        return admission.admit(
            wanted,
            caller,
            deps.reference.current,
            approved,
            at,
            idempotency_hash=key.hash if key else None,
            traceparent=telemetry.traceparent(),
        )
    except Refused as refused:
        if refused.code == "content_rejected":
            deps.refusals.note(caller.account_id, wanted.body, refused.extra["reasons"], at)
        raise


async def guard(
    deps: Messaging, caller: Caller, admitted: Sequence[NewMessage | Refused]
) -> list[NewMessage | Refused]:
    """The items of a batch, of which those that a guard holds back are refused, each alone."""
    held = iter(await deps.guards.take(caller, [item for item in admitted if isinstance(item, NewMessage)]))
    return [item if isinstance(item, Refused) else next(held) or item for item in admitted]


async def accept(deps: Messaging, caller: Caller, submission: Submission) -> Answer:
    """Commit it. What is not accepted, or was so before, does not count for the guards."""
    try:
        answer = await deps.accepting.accept(submission)
    except OutcomeUnknown:
        raise
    except (Refused, RetryLater):
        await deps.guards.give_back(caller, submission.messages)
        raise
    if answer.replayed:
        metrics.REPLAYED.inc()
        await deps.guards.give_back(caller, submission.messages)
    elif submission.batch and answer.body["rejected"]:
        made = {entry["message"]["id"] for entry in answer.body["data"] if "message" in entry}
        await deps.guards.give_back(caller, [m for m in submission.messages if str(m.message_id) not in made])
    return answer


def count(answer: Answer, caller: Caller, messages: Iterable[Mapping[str, Any]]) -> None:
    """Count what was accepted just now, by lane and mode."""
    if not answer.replayed:
        for message in messages:
            metrics.accepted(message["lane"], caller.mode).inc()


async def answered_before(deps: Messaging, key: Key) -> Answer | None:
    """What was accepted under this key is answered again, even if it would be refused today."""
    async with deps.pipeline.transaction() as tx:
        kept = await idempotency.find_kept(tx, [key.hash], now())
    if key.hash not in kept:
        return None
    answer = replay(kept[key.hash], key)
    if isinstance(answer, Refused):
        raise answer
    metrics.REPLAYED.inc()
    return answer


def check_callback_url(url: str, allow_loopback: bool) -> None:
    """422 unless we would dial this URL."""
    try:
        check_public_url(url, allow_loopback=allow_loopback)
    except UnsafeUrl as exc:
        raise admission.invalid(
            "callback_url", "invalid_url", f"This URL cannot be called: {exc.reason}"
        ) from None


def call_key(request: Request, caller: Caller, raw: bytes) -> Key | None:
    """The call's Idempotency-Key, hashed for its account, with the call's fingerprint; Refused when malformed."""
    key = key_of(request)
    if key is None:
        return None
    return Key(
        idempotency.key_hash(caller.account_id, key),
        idempotency.fingerprint(request.method, request.scope["path"], raw),
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


def respond(answer: Answer, rates: Mapping[str, str]) -> Response:
    """202 with the rate limit's headers, and the word that it is a replay."""
    headers = {**rates, "idempotent-replayed": "true"} if answer.replayed else rates
    return json_response(answer.body, 202, headers)


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
