"""What sending a letter again would do, and what discarding it would: in words, and in one word for machines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sema_aggregators import READERS, RawReport, Report, Unreadable
from sema_common.messages.status import climbs
from sema_common.wire.contacts import ValidateContacts
from sema_common.wire.content import ScreenCampaign
from sema_common.wire.dlr import RawDlr, RawDlrs, RematchDlrs
from sema_common.wire.envelope import WireMessage
from sema_common.wire.queues import CONTACTS_VALIDATE, DLR_INBOUND, SMS_CONTENT, WEBHOOKS_OUTBOUND
from sema_common.wire.sms import SettleAttempts, SmsJobs
from sema_common.wire.webhook import Facts, Redeliver
from sema_main_api.admin.dead_letters.rules.known import UNFINISHED, WAITING, Known, fate
from sema_main_api.admin.dead_letters.rules.letters import Letter, Named, Opened

Does = Literal["submit", "expire", "repeat", "settle", "process", "nothing", "park"]
"""submit, expire: a message. repeat: what was done is told again. settle: a doubt. process: what the room does
otherwise. nothing: no change at all. park: it would end here again."""


@dataclass(frozen=True, slots=True)
class Effect:
    """`subject` is what it is about, as logs name it."""

    subject: str | None
    does: Does
    detail: str


def replay(opened: Opened, known: Known, now: datetime) -> list[Effect]:
    """What each part of the letter would meet if it were sent again as it is."""
    if opened.message is None:
        return [
            Effect(
                None, "park", "The body cannot be read: it would come back. Send it with a corrected payload."
            )
        ]
    return list(_replay(opened.message, known, now))


def _replay(message: WireMessage, known: Known, now: datetime) -> Iterator[Effect]:
    match message:
        case SmsJobs():
            for job in message.jobs:
                yield _job(job.message_id, job.attempt, known, now)
        case SettleAttempts():
            for each in message.attempts:
                yield _settlement(each.message_id, each.attempt, known)
        case ScreenCampaign():
            yield _campaign(message, known)
        case ValidateContacts():
            yield _validation(message, known)
        case RawDlrs():
            for report in message.reports:
                yield from _report(report, known)
        case RematchDlrs():
            yield Effect(None, "process", f"{len(message)} stored reports would be matched again.")
        case Facts():
            for fact in message.facts:
                detail = (
                    f"{fact.type} would go to whoever subscribed; deliveries that exist are not made again."
                )
                yield Effect(_msg(fact.message_id) if fact.message_id else None, "process", detail)
        case Redeliver():
            delivery = known.deliveries.get(message.delivery_id)
            if delivery is None or delivery.account_id != message.account_id:
                yield Effect(str(message.delivery_id), "nothing", "There is no such delivery any more.")
            else:
                yield Effect(
                    str(delivery.id), "process", f"It stands at {delivery.state} and would be tried again."
                )


def _job(message_id: UUID, attempt: int, known: Known, now: datetime) -> Effect:
    message = known.messages.get(message_id)
    subject = _msg(message_id)
    match fate(known, message_id, attempt, now):
        case "unknown":
            return Effect(subject, "nothing", "There is no such message: the job would be left out.")
        case "claimed":
            made = known.made(message_id, attempt)
            assert made is not None
            assert message is not None
            if made.finished_at is None:
                detail = f"Attempt {attempt} was claimed and has no outcome: sms-worker's sweep settles it."
            else:
                detail = (
                    f"Attempt {attempt} was made ({made.state}), the message is {message.status}: nothing is "
                )
                detail += "submitted, its facts are told again."
            return Effect(subject, "repeat", detail)
        case "ended":
            assert message is not None
            return Effect(
                subject, "nothing", f"The message is {message.status} already: the job would be left out."
            )
        case "late":
            return Effect(subject, "expire", "Its validity is over: it would expire, with its refund.")
    assert message is not None
    detail = (
        f"It is {message.status}: attempt {attempt} would be claimed and submitted by the {message.lane} lane"
    )
    if message.account_id in known.suspended:
        detail += ", although its account is suspended"
    return Effect(subject, "submit", detail + ".")


def _settlement(message_id: UUID, attempt: int, known: Known) -> Effect:
    made = known.made(message_id, attempt)
    if made is None or made.due_at is None:
        return Effect(_msg(message_id), "nothing", f"Nothing is open about attempt {attempt}.")
    return Effect(
        _msg(message_id), "settle", f"Attempt {attempt} is {made.state}; the sweep would find it anyway."
    )


def _campaign(message: ScreenCampaign, known: Known) -> Effect:
    campaign = known.campaigns.get(message.campaign_id)
    if campaign is None or campaign.account_id != message.account_id:
        return Effect(str(message.campaign_id), "park", "No such campaign: it would come back.")
    if campaign.status in WAITING:
        return Effect(str(campaign.id), "process", "It waits for its verdict and would be judged.")
    if campaign.status == "rejected":
        return Effect(str(campaign.id), "repeat", "It was rejected; campaign.rejected would be told again.")
    return Effect(str(campaign.id), "nothing", f"It is {campaign.status}: its verdict is known.")


def _validation(message: ValidateContacts, known: Known) -> Effect:
    job = known.validations.get(message.job_id)
    if job is None or job.account_id != message.account_id:
        return Effect(str(message.job_id), "park", "No such validation job: it would come back.")
    if job.status in UNFINISHED:
        detail = f"It is {job.status}: {job.processed} of {job.total} are done, the rest would be."
        return Effect(str(job.id), "process", detail)
    return Effect(str(job.id), "nothing", f"It is {job.status}.")


def _report(report: RawDlr, known: Known) -> Iterator[Effect]:
    try:
        found = reports_in(report)
    except Unreadable as unreadable:
        yield Effect(
            None, "process", f"{report.aggregator}: it would go to quarantine ({unreadable.reason})."
        )
        found = list(unreadable.reports)
    for key, status in ((each.aggregator_id, each.status) for each in found):
        message_id = known.submits.get((report.aggregator, key))
        message = known.messages.get(message_id) if message_id else None
        if message is None:
            yield Effect(
                None,
                "process",
                f"{report.aggregator}: its submit is not known; it would be kept and retried.",
            )
        elif status is not None and climbs(message.status, status):
            yield Effect(
                _msg(message.message_id), "process", f"It is {message.status} and would become {status}."
            )
        else:
            yield Effect(
                _msg(message.message_id), "repeat", f"It is {message.status}: the report moves nothing."
            )


def reports_in(report: RawDlr) -> list[Report]:
    """The reports of one raw body; Unreadable with those that could be read."""
    reader = READERS.get(report.aggregator)
    if reader is None:
        raise Unreadable("no adapter of that name")
    return list(
        reader.read_reports(RawReport(report.content_type, report.query, report.body, report.received_at))
    )


def discard(letter: Letter, named: Named, known: Known, now: datetime) -> list[Effect]:
    """What giving the letter up would do."""
    match letter.queue:
        case queue if queue == SMS_CONTENT:
            campaign = known.campaigns.get(named.campaign_id) if named.campaign_id else None
            if campaign is None or campaign.status not in WAITING:
                return [_none("No campaign waits for its verdict because of it.")]
            return [Effect(str(campaign.id), "process", "It would be rejected, its reservation released.")]
        case queue if queue == CONTACTS_VALIDATE:
            job = known.validations.get(named.job_id) if named.job_id else None
            if job is None or job.status not in UNFINISHED:
                return [_none("No validation waits for it.")]
            return [Effect(str(job.id), "process", "It would fail; what was validated stays so.")]
        case queue if queue == DLR_INBOUND:
            return [_none("The reports are not applied; a message without one expires in time.")]
        case queue if queue == WEBHOOKS_OUTBOUND:
            return [_none("Nobody's endpoint is told. What it would have told can be read by GET.")]
    if not named.jobs:
        return [_none("It names no message; what is in doubt is found again by the sweep.")]
    return [_discarded_job(message_id, attempt, known, now) for message_id, attempt in named.jobs.items()]


def _discarded_job(message_id: UUID, attempt: int | None, known: Known, now: datetime) -> Effect:
    number = attempt or known.next_attempt(message_id)
    match fate(known, message_id, number, now):
        case "unknown":
            return Effect(_msg(message_id), "nothing", "There is no such message.")
        case "claimed":
            return Effect(
                _msg(message_id), "nothing", f"Attempt {number} was claimed: what came of it stands."
            )
        case "ended":
            return Effect(_msg(message_id), "nothing", "It has ended already.")
    return Effect(_msg(message_id), "process", "It would fail as dead_lettered, with its refund.")


def _none(detail: str) -> Effect:
    return Effect(None, "nothing", detail)


def _msg(message_id: UUID) -> str:
    return f"msg_{message_id}"


def worthless(effects: Sequence[Effect]) -> bool:
    """Whether sending it would change nothing, or bring it back."""
    return all(effect.does in ("nothing", "park") for effect in effects)
