"""Which jobs travel together, by which route, and which are too late."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from sema_aggregators import Capabilities, Outcome, Submit, SubmitOutcome
from sema_common.messages.store.attempts import AttemptKey
from sema_common.wire.sms import SmsJob, SmsJobs

LIVE = "celcom"
TEST = "test"

T = TypeVar("T")


def distinct(bundles: Iterable[SmsJobs]) -> dict[AttemptKey, SmsJob]:
    """The jobs by the attempt that they ask for: the relay may have published one twice."""
    return {(job.message_id, job.attempt): job for bundle in bundles for job in bundle.jobs}


def route_of(job: SmsJob) -> str:
    """Jobs of test keys never reach a real aggregator; there is one aggregator for the rest."""
    return TEST if job.test else LIVE


def by_route(jobs: Iterable[SmsJob]) -> Mapping[str, list[SmsJob]]:
    """The jobs of each route; test mode first, so that it does not wait for a real aggregator."""
    found: dict[str, list[SmsJob]] = {}
    for job in jobs:
        found.setdefault(route_of(job), []).append(job)
    return dict(sorted(found.items(), key=lambda item: item[0] != TEST))


def by_validity(jobs: Iterable[SmsJob], now: datetime) -> tuple[list[SmsJob], list[SmsJob]]:
    """(still valid, too late)."""
    live: list[SmsJob] = []
    late: list[SmsJob] = []
    for job in jobs:
        (live if job.valid_until > now else late).append(job)
    return live, late


def bulks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Slices of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def refusal(capabilities: Capabilities, job: SmsJob) -> SubmitOutcome | None:
    """Why the route cannot carry this job. The door refuses such messages; this is for settings that changed since."""
    if job.kind == "FLASH_SMS" and not capabilities.flash:
        return _unsupported("flash texts")
    if job.encoding == "UCS-2" and not capabilities.ucs2:
        return _unsupported("texts beyond GSM-7")
    if capabilities.countries is not None and job.country not in capabilities.countries:
        return _unsupported("this country")
    return None


def _unsupported(what: str) -> SubmitOutcome:
    return SubmitOutcome(Outcome.REFUSED, "unsupported_type", f"no route carries {what}")


def submit_of(job: SmsJob, client_id: int) -> Submit:
    """The job as an adapter takes it."""
    return Submit(
        client_id=client_id,
        reference=str(job.message_id),
        to=job.to,
        sender=job.sender,
        text=job.body,
        flash=job.kind == "FLASH_SMS",
        attempt=job.attempt,
    )
