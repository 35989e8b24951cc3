"""What must not keep others waiting: long lines for a pace, no connection, calls that end in a bug."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from sema_aggregators import Outcome
from sema_common.platform.cache import Cache
from sema_common.platform.db import Database
from sema_common.wire.sms import Lane
from sema_sms_worker.clients.pacing import BOOKED_SECONDS, LINE_SECONDS, Pace
from sema_sms_worker.clients.ways import Way
from sema_sms_worker.handlers.attempts import Attempts
from sema_sms_worker.handlers.routing import Router
from sema_sms_worker.rules.routing import FINE, Route, Table

from .test_routing import ABLE, PLAIN, job  # type: ignore[import-not-found]  # mypy knows no package with a dash


def pace(per_second: int | None) -> Pace:
    cache = cast(Cache, SimpleNamespace(script=lambda _: None))
    made = Pace(cache, "celcom", "w", clock=lambda: 100.0)
    made.per_second = per_second
    return made


class Busy:
    """A way whose connections are all in use, or not."""

    def __init__(self, name: str, able: Any, free: int) -> None:
        self.name = name
        self.capabilities = able
        self._free = free

    def free(self, lane: Lane) -> int:
        return self._free


def router(free: int, *, others: bool = True, per_second: int | None = None) -> Router:
    ways = {"celcom": Busy("celcom", PLAIN, free), "africastalking": Busy("africastalking", ABLE, 8)}
    health = SimpleNamespace(standing=lambda *_: FINE, room=lambda _: 1000)
    paces = {"celcom": pace(per_second), "africastalking": pace(None)}
    made = Router(cast(Database, None), cast(Any, ways), cast(Any, health), paces)
    made.table = Table([Route("celcom", PLAIN), Route("africastalking", ABLE, enabled=others)])
    return made


async def test_a_batch_waits_a_moment_for_a_connection_and_then_lets_others_go() -> None:
    jobs = [job(), job()]
    plan = await router(0).plan("normal", jobs, frozenset())
    assert (plan.later, plan.waiting) == (jobs, [])
    plan = await router(0).plan("normal", jobs, frozenset(), patient=False)
    assert (plan.later, plan.going) == ([], [])
    assert [each.job for each in plan.waiting] == jobs
    assert plan.waiting[0].why.told["passed_over"] == [{"aggregator": "celcom", "reason": "busy"}]


async def test_where_nobody_else_could_go_a_batch_waits_in_its_place() -> None:
    plan = await router(0, others=False, per_second=1).plan(
        "normal", [job(), job()], frozenset(), patient=False
    )
    assert len(plan.later) == 2
    assert plan.waiting == []


async def test_what_fits_into_a_second_goes_and_the_rest_comes_back_one_by_one() -> None:
    jobs = [job() for _ in range(7)]
    plan = await router(8, per_second=4).plan("normal", jobs, frozenset())
    assert [going.jobs for going in plan.going] == [jobs[:4]]
    assert [each.job for each in plan.waiting] == jobs[4:]
    assert [each.seconds for each in plan.waiting] == pytest.approx(
        [LINE_SECONDS + 0.25, LINE_SECONDS + 0.5, LINE_SECONDS + 0.75]
    )


def test_without_a_pace_everything_fits() -> None:
    assert pace(None).fits("normal") is None


def test_a_line_without_end_is_booked_no_further_than_a_minute() -> None:
    paced = pace(2)
    times = [paced.book("normal") for _ in range(400)]
    assert max(times) <= BOOKED_SECONDS
    assert min(times[200:]) >= BOOKED_SECONDS / 2


async def test_a_call_that_ends_in_a_bug_has_ended() -> None:
    """Otherwise it would count as in flight for good, and the route's room would shrink by it."""
    ended: list[Any] = []

    class Health:
        def began(self, *_: object) -> int:
            return 7

        def ended(self, name: str, number: int, outcomes: Any) -> None:
            ended.append((name, number, outcomes[0].outcome))

    class Fails(Busy):
        async def submit(self, lane: Lane, jobs: object) -> None:
            raise ZeroDivisionError

    way = cast(Way, Fails("celcom", PLAIN, 1))
    attempts = Attempts("normal", cast(Any, SimpleNamespace(health=Health())), *[cast(Any, None)] * 5)
    with pytest.raises(ZeroDivisionError):
        await attempts._call_one(way, [job()], None)
    assert ended == [("celcom", 7, Outcome.IN_DOUBT)]
