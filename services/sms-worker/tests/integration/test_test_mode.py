"""Jobs of `sema_test_…` keys: they never reach a real aggregator, and their magic recipients do as they say."""

import json

import pytest

from .conftest import OPENING, Aggregator, World, eventually  # type: ignore[import-not-found]  # mypy knows no package with a dash

pytestmark = pytest.mark.usefixtures("room")


async def reports(world: World, count: int) -> list[str]:
    """The statuses of the reports that came in, once there are so many."""

    async def look() -> list[str] | None:
        found = [json.loads(report.body)["status"] for report in world.reports]
        return found if len(found) >= count else None

    found: list[str] = await eventually(look)
    return found


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("9990001", ["delivered"]),
        ("9990002", ["failed"]),
        ("9990007", ["delivered"]),
        ("9990008", ["delivered"] * 3),
        ("9990010", ["failed", "delivered"]),
    ],
)
async def test_magic_recipients_report_through_the_reports_queue(
    world: World, aggregator: Aggregator, digits: str, expected: list[str]
) -> None:
    jobs = await world.accept(1, to=f"+25471{digits}", test=True)
    await world.publish(jobs)
    await world.reached(jobs, "sent")
    assert await reports(world, len(expected)) == expected
    assert {(report.aggregator, report.source) for report in world.reports} == {("test", "test")}
    [row] = await world.attempts(jobs[0])
    assert (row["aggregator"], row["aggregator_id"]) == ("test", json.loads(world.reports[0].body)["id"])
    assert aggregator.calls == []


async def test_refused_retried_and_in_doubt(world: World, aggregator: Aggregator) -> None:
    jobs = await world.accept(
        3, to=[f"+25471{digits}" for digits in ("9990004", "9990006", "9990005")], test=True
    )
    await world.publish(jobs)
    [refused] = await world.reached(jobs[:1], "failed")
    assert refused["last_error"]["code"] == "invalid_number"
    await world.reached(jobs[1:2], "sent")
    assert await world.events(jobs[1]) == ["retry:1", "retry:2", "sent:3"]
    await world.reached(jobs[2:], "failed")
    assert await world.events(jobs[2]) == ["in_doubt:1", "failed:1"]
    assert aggregator.calls == []


async def test_a_repeat_reports_the_same_again(world: World) -> None:
    jobs = await world.accept(1, test=True)
    await world.publish(jobs)
    await reports(world, 1)
    await world.publish(jobs)
    await reports(world, 2)
    assert world.reports[0].body == world.reports[1].body


async def test_live_and_test_jobs_of_one_bundle_part(world: World, aggregator: Aggregator) -> None:
    live = await world.accept(2)
    test = await world.accept(2, test=True)
    await world.publish([*live, *test])
    await world.reached([*live, *test], "sent")
    assert sorted(aggregator.texts) == sorted(job.body for job in live)
    assert await world.balance() < OPENING
