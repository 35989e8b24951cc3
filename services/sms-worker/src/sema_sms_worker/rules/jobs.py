"""Which jobs travel together, which are too late, which are only for show."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from sema_aggregators import Capabilities, Submit
from sema_common.messages.store.attempts import AttemptKey
from sema_common.wire.sms import SmsJob, SmsJobs

TEST = "test"

T = TypeVar("T")


def distinct(bundles: Iterable[SmsJobs]) -> dict[AttemptKey, SmsJob]:
    """The jobs by the attempt that they ask for: the relay may have published one twice."""
    return {(job.message_id, job.attempt): job for bundle in bundles for job in bundle.jobs}


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


def calls(jobs: Sequence[SmsJob], able: Capabilities) -> list[list[SmsJob]]:
    """The jobs as an aggregator takes them: call by call, each within what one may hold."""
    if not able.one_text:
        return [list(bulk) for bulk in bulks(jobs, able.max_bulk)]
    made: list[list[SmsJob]] = []
    open_: dict[tuple[str, str], list[SmsJob]] = {}
    for job in jobs:
        call = open_.get((job.sender, job.body))
        if call is None or len(call) >= able.max_bulk or any(job.to == other.to for other in call):
            call = open_[job.sender, job.body] = []
            made.append(call)
        call.append(job)
    return made


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
