"""Who fits his balance, and what is a replay."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from sema_common.billing.ledger import Balance, Charge
from sema_common.messages.store.accepting import NewMessage
from sema_common.messages.store.idempotency import KEPT_FOR, KeptResponse
from sema_common.values.errors import FieldError, Refused
from sema_main_api.messaging.rules.admission import FREE, Asker


@dataclass(frozen=True, slots=True)
class Key:
    """An Idempotency-Key in the form that is stored: its hash, and the fingerprint of the call."""

    hash: str
    fingerprint: bytes


NO_LIMITS: Final[Mapping[UUID, Decimal]] = {}

Respond = Callable[[Mapping[UUID, Refused]], dict[str, Any]]
"""The response body, given which of the submission's messages were refused in the transaction, and why."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What one HTTP request asks to be accepted together: 1 message, or a batch of up to 1000."""

    asker: Asker
    messages: Sequence[NewMessage]
    respond: Respond
    key: Key | None = None
    batch: bool = False

    def __len__(self) -> int:
        return len(self.messages)


@dataclass(frozen=True, slots=True)
class Answer:
    """A success: the body, and whether it was given before under the same key."""

    body: dict[str, Any]
    replayed: bool = False


@dataclass(slots=True)
class Decided:
    """What one transaction is to write, and what each submission is answered."""

    answers: list[Answer | Refused] = field(default_factory=list)
    accepted: list[NewMessage] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    kept: list[KeptResponse] = field(default_factory=list)


def decide(
    submissions: Sequence[Submission],
    balances: Mapping[UUID, Balance],
    kept: Mapping[str, KeptResponse],
    now: datetime,
    suppressed: Mapping[tuple[UUID, str], str],
    left: Mapping[UUID, Decimal] = NO_LIMITS,
) -> Decided:
    """Take the submissions in order: replay what was answered before, charge what fits, refuse the rest.

    `suppressed` has the scope of every opt-out, by (account, recipient); `left` what an agent's customers with a limit
    may still spend this month. Within one account a small message may pass behind a large one that did not fit. Only
    successes are kept under their key: a refused call frees it.
    """
    decided = Decided()
    available = {account: balance.available for account, balance in balances.items()}
    balance_of = {account: balance.balance for account, balance in balances.items()}
    may_spend = dict(left)
    known: dict[str, KeptResponse] = dict(kept)
    for submission in submissions:
        before = known.get(submission.key.hash) if submission.key else None
        if before is not None and submission.key is not None:
            decided.answers.append(replay(before, submission.key))
            continue
        refused: dict[UUID, Refused] = {}
        fitting: list[NewMessage] = []
        for message in submission.messages:
            opted_out = suppressed.get((message.account_id, message.to))
            if opted_out is not None and (message.lane == "normal" or opted_out == "all"):
                refused[message.message_id] = opted_out_refusal(opted_out)
                continue
            payer, cost = message.billing_account_id, message.charged
            if payer not in available or available[payer] < cost:
                refused[message.message_id] = insufficient(message, available.get(payer))
                continue
            if message.account_id in may_spend:
                if may_spend[message.account_id] < message.cost:
                    refused[message.message_id] = limit_reached()
                    continue
                may_spend[message.account_id] -= message.cost
            available[payer] -= cost
            balance_of[payer] -= cost
            fitting.append(message)
            decided.charges.append(charge_of(message, balances[payer].tenant_id, balance_of[payer]))
        if refused and not submission.batch:
            decided.answers.append(next(iter(refused.values())))
            continue
        decided.accepted.extend(fitting)
        body = submission.respond(refused)
        decided.answers.append(Answer(body))
        if submission.key is not None:
            response = keepable(submission, submission.key, body, now)
            known[response.hash] = response
            decided.kept.append(response)
    return decided


def replay(before: KeptResponse, key: Key) -> Answer | Refused:
    """The first answer again, or the refusal of a key that was used for another call."""
    if before.fingerprint != key.fingerprint:
        return Refused(
            "idempotency_key_reused",
            "This Idempotency-Key was used for another request in the last 48 hours.",
        )
    return Answer(before.response_body, replayed=True)


def keepable(submission: Submission, key: Key, body: dict[str, Any], now: datetime) -> KeptResponse:
    """The row that remembers this success."""
    single = None if submission.batch else submission.messages[0].message_id
    return KeptResponse(
        hash=key.hash,
        tenant_id=submission.asker.tenant_id,
        account_id=submission.asker.account_id,
        resource_type="batch" if submission.batch else "message",
        resource_id=single,
        fingerprint=key.fingerprint,
        http_status=202,
        response_body=body,
        expires_at=now + KEPT_FOR,
    )


def opted_out_refusal(scope: str) -> Refused:
    """422: the recipient is on the account's suppression list."""
    what = "any message" if scope == "all" else "promotional messages"
    return Refused(
        "recipient_suppressed",
        f"The recipient has opted out of {what} of this account.",
        errors=[FieldError("to", "recipient_suppressed", f"suppressed: {scope}")],
    )


def charge_of(message: NewMessage, tenant_id: UUID, balance_after: Decimal) -> Charge:
    """What the billing account is charged for a message, with what its account owes an agent."""
    return Charge(
        message.billing_account_id,
        tenant_id,
        message.message_id,
        message.charged,
        balance_after,
        message.volume,
        message.sale,
    )


def limit_reached() -> Refused:
    """402: the agent lets this customer spend no more this month."""
    return Refused(
        "spending_limit_reached", "The spending limit of this account for this month is reached.", 402
    )


def insufficient(message: NewMessage, available: Decimal | None) -> Refused:
    """402: the message costs more than is left. What an agent has is not for his customers to know."""
    if message.billing_account_id != message.account_id:
        return Refused(
            "insufficient_credit", "The account that pays for this one has not enough credit.", 402
        )
    left = FREE if available is None else available
    return Refused(
        "insufficient_credit",
        f"The message costs {message.cost} {message.currency}, {left} {message.currency} is available.",
        402,
    )
