"""Every fault by itself, under load: healed in time, and nothing lost, doubled, charged or refunded wrongly.

`make faults`. One of them: .venv/bin/pytest tests/faults/test_cases.py -k 'F10 and disk'.
"""

import os

import pytest

from tests.faults import outside, rooms, stores
from tests.faults.case import Case
from tests.faults.scene import Scene

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

CASES = (*rooms.CASES, *stores.CASES, *outside.CASES)


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_fault(scene: Scene, case: Case) -> None:
    async with (
        scene.load(case.rate).running(),
        scene.fault(case.fault, case.injected, case.within) as injection,
    ):
        await case.inject(scene, injection)
    await scene.judge(doubts=case.doubts, **case.known)


async def test_one_fault_after_the_other(scene: Scene) -> None:
    """The short form: some of these faults in one story, judged once at its end. STORY=all plays all of them."""
    scene.slack = 2.0
    everything = os.environ.get("STORY") == "all"
    short = [case for case in CASES if case.short or (everything and not case.known and not case.apart)]
    for case in scene.rng.sample(short, len(short)):
        async with (
            scene.load(case.rate).running(),
            scene.fault(case.fault, case.injected, case.within) as injection,
        ):
            await case.inject(scene, injection)
    await scene.judge(doubts=sum(case.doubts for case in short))
