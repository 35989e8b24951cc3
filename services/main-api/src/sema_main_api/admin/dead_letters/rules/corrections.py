"""What a corrected payload may not change: whom it is about, what it says, what it costs.

Form may be mended (a type, a version, a field that is missing or malformed); content is held against what is
stored, or, where nothing is stored, against the letter itself.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from pydantic_core import to_jsonable_python

from sema_common.values.errors import FieldError
from sema_common.wire.contacts import ValidateContacts
from sema_common.wire.content import ScreenCampaign
from sema_common.wire.dlr import RawDlrs
from sema_common.wire.envelope import WireMessage
from sema_common.wire.queues import LANE_QUEUES
from sema_common.wire.sms import SettleAttempts, SmsJob, SmsJobs
from sema_common.wire.webhook import Fact, Facts, Redeliver
from sema_main_api.admin.dead_letters.rules.known import Known
from sema_main_api.admin.dead_letters.rules.letters import Bonds, Letter, Named

FREE_OF_JOB: Final = frozenset({"attempt", "queued_at", "traceparent"})
"""Fields of a job that are no part of what was accepted; the attempt has a rule of its own."""

BONDS_OF_JOB: Final = ("only_via", "not_via")
"""Stored with no message: the letter itself says them."""

HELD_OF_FACT: Final = ("type", "account_id", "data", "message_id", "callback_url", "endpoint_id")


def forbidden(letter: Letter, named: Named, corrected: WireMessage, known: Known) -> list[FieldError]:
    """Every field of a correction that says something else; `named` is what the letter itself names."""
    match corrected:
        case SmsJobs():
            found = _jobs(letter, named, corrected, known)
        case SettleAttempts():
            found = _settlements(corrected, known)
        case ScreenCampaign():
            found = _campaign(named, corrected, known)
        case ValidateContacts():
            found = _validation(named, corrected, known)
        case RawDlrs():
            found = _reports(named, corrected)
        case Facts():
            found = _facts(named, corrected)
        case Redeliver():
            found = _delivery(named, corrected, known)
        case _:
            found = iter(())
    return list(found)


def _jobs(letter: Letter, named: Named, corrected: SmsJobs, known: Known) -> Iterator[FieldError]:
    for place, job in enumerate(corrected.jobs):
        at = f"payload.jobs.{place}"
        message = known.messages.get(job.message_id)
        if message is None:
            yield _error(f"{at}.message_id", "unknown", "There is no such message.")
            continue
        if named.jobs and job.message_id not in named.jobs:
            yield _error(f"{at}.message_id", "immutable", "This letter is about other messages.")
            continue
        stored = message.job(job.queued_at, job.attempt)
        for name in SmsJob.model_fields:
            if name in FREE_OF_JOB or name in BONDS_OF_JOB:
                continue
            if getattr(job, name) != getattr(stored, name):
                yield _error(f"{at}.{name}", "immutable", "It is not what was accepted.")
        bonds = _bonds(named, known, job.message_id)
        for name in BONDS_OF_JOB:
            if getattr(job, name) != getattr(bonds, name):
                yield _error(f"{at}.{name}", "immutable", "It is not where this job may go.")
        if letter.queue != LANE_QUEUES[job.lane]:
            yield _error(f"{at}.lane", "immutable", "Its lane has another queue.")
        if not _may_attempt(known, job):
            detail = "Only an attempt that was made, or the one after an attempt that was not taken."
            yield _error(f"{at}.attempt", "immutable", detail)


def _bonds(named: Named, known: Known, message_id: UUID) -> Bonds:
    """What the letter says; where it names no aggregator, the one that a doubt was left with.

    Through another aggregator a resend in doubt could be a second SMS.
    """
    told = named.bonds.get(message_id, Bonds())
    if told.only_via is not None:
        return told
    doubts = (a.aggregator for a in known.attempts.get(message_id, ()) if a.state == "settled")
    return replace(told, only_via=next(doubts, None))


def _may_attempt(known: Known, job: SmsJob) -> bool:
    """An attempt that was claimed is not made again; a new one needs that the one before was given up."""
    made = known.attempts.get(job.message_id, ())
    if any(each.attempt == job.attempt for each in made):
        return True
    if job.attempt != known.next_attempt(job.message_id):
        return False
    return not made or made[-1].state in ("not_sent", "settled")


def _settlements(corrected: SettleAttempts, known: Known) -> Iterator[FieldError]:
    for place, each in enumerate(corrected.attempts):
        if known.made(each.message_id, each.attempt) is None:
            yield _error(f"payload.attempts.{place}", "unknown", "There is no such attempt.")


def _campaign(named: Named, corrected: ScreenCampaign, known: Known) -> Iterator[FieldError]:
    campaign = known.campaigns.get(corrected.campaign_id)
    if campaign is None or named.campaign_id not in (None, campaign.id):
        yield _error("payload.campaign_id", "immutable", "It is not this letter's campaign.")
    elif corrected.account_id != campaign.account_id:
        yield _error("payload.account_id", "immutable", "The campaign is another account's.")


def _validation(named: Named, corrected: ValidateContacts, known: Known) -> Iterator[FieldError]:
    job = known.validations.get(corrected.job_id)
    if job is None or named.job_id not in (None, job.id):
        yield _error("payload.job_id", "immutable", "It is not this letter's validation job.")
        return
    for name in ("account_id", "contact_list_id"):
        if getattr(corrected, name) != getattr(job, name):
            yield _error(f"payload.{name}", "immutable", "The job is about something else.")


def _reports(named: Named, corrected: RawDlrs) -> Iterator[FieldError]:
    """What an aggregator sent is evidence: a correction may leave reports out, and change none."""
    came = {(each.aggregator, each.content_type, each.query, bytes(each.body)) for each in named.reports}
    for place, each in enumerate(corrected.reports):
        if (each.aggregator, each.content_type, each.query, bytes(each.body)) not in came:
            yield _error(f"payload.reports.{place}", "immutable", "It is not one of those that came.")


def _facts(named: Named, corrected: Facts) -> Iterator[FieldError]:
    for place, fact in enumerate(corrected.facts):
        at = f"payload.facts.{place}"
        told = named.facts.get(str(fact.event_id))
        if told is None:
            yield _error(f"{at}.event_id", "immutable", "It is not one of those that came.")
        else:
            yield from _fact(at, fact, told)


def _fact(at: str, fact: Fact, told: Mapping[str, Any]) -> Iterator[FieldError]:
    says = to_jsonable_python(fact)
    for name in HELD_OF_FACT:
        if says[name] != told.get(name):
            yield _error(f"{at}.{name}", "immutable", "It is not what was told.")


def _delivery(named: Named, corrected: Redeliver, known: Known) -> Iterator[FieldError]:
    delivery = known.deliveries.get(corrected.delivery_id)
    if delivery is None or named.delivery_id not in (None, delivery.id):
        yield _error("payload.delivery_id", "immutable", "It is not this letter's delivery.")
    elif corrected.account_id != delivery.account_id:
        yield _error("payload.account_id", "immutable", "The delivery is another account's.")


def _error(field: str, code: str, detail: str) -> FieldError:
    return FieldError(field, code, detail)
