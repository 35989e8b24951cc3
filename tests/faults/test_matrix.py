"""Every fault point with every action, each cell reached, on a stack under load; judged once at the end.

CELLS='sender.after_claim:kill api.after_debit:drop' plays only these. An unreached cell is a failure.
"""

import asyncio
import os
from itertools import product
from typing import Final

import pytest

from deploy.local.programs import birth
from sema_aggregators.test_mode import Reaction, script_of
from sema_common.platform.faults import Action
from tests.faults.points import POINTS, SWEEP
from tests.faults.rooms import all_ready
from tests.faults.scene import Scene
from tests.faults.table import RESULTS
from tests.kit.client import eventually

pytestmark = [pytest.mark.stack]

ACTIONS: Final[tuple[Action, ...]] = ("kill", "cancel", "drop")

REACHED_SECONDS: Final = 60.0
READY_SECONDS: Final = 60.0
SHORT_CELLS: Final = 2
"""Of each room, in the short form."""

RATE: Final = 20.0
IN_HAND: Final = 60
"""Messages that one cell of sms-worker may leave in doubt: what the load brings while one submit may take (3 s)."""

BULK: Final = 20
"""Messages of one submit; one that times out leaves all of them in doubt."""

Cell = tuple[str, Action]


async def _play(scene: Scene, room: str, cells: list[Cell], *, leave_behind: bool = False) -> None:
    """One cell after the other: armed, reached, its room well again. `leave_behind`: make work for the sweep."""
    for point, action in cells:
        arm = scene.points.arm(point, action)
        companion = scene.points.arm("relay.after_claim", "raise") if leave_behind else None
        RESULTS.cells[point, action] = "not reached"

        async def reached(arm=arm) -> None:  # type: ignore[no-untyped-def]
            assert scene.points.fired(arm), f"{arm.point}: {arm.action} was never reached"

        try:
            await eventually(reached, REACHED_SECONDS)
        finally:
            scene.points.disarm(arm, *([companion] if companion else []))
        RESULTS.cells[point, action] = "reached"
        await eventually(lambda: _ready(scene, room), READY_SECONDS)


async def _ready(scene: Scene, room: str) -> None:
    state = scene.stack.state(room)
    assert state["phase"] == "ready", state
    assert birth(state["pid"]), "it has ended, and the supervisor has not seen that yet"


async def _matrix(scene: Scene, chosen: dict[str, list[Cell]], sweep: list[Cell]) -> None:
    async with scene.load(RATE, magic=0.1).running():
        lanes = [_play(scene, room, cells) for room, cells in chosen.items()]
        await asyncio.gather(*lanes, _play(scene, "main-api", sweep, leave_behind=True))
        await eventually(lambda: all_ready(scene), READY_SECONDS)
    await scene.judge(doubts=_excused(scene, len(chosen.get("sms-worker", ()))), broken=True)


def _excused(scene: Scene, cells: int) -> int:
    """Doubts that these many cells of sms-worker and the recipients that time out explain."""
    calls = [call.text[0] for call in scene.client.history]
    timeouts = sum(script_of(to).reaction is Reaction.TIMEOUT for to in calls)
    return cells * IN_HAND + timeouts * BULK


@pytest.mark.long
@pytest.mark.timeout(1200)
async def test_every_fault_point_with_every_action(scene: Scene) -> None:
    asked = [cell.partition(":") for cell in os.environ.get("CELLS", "").split()]
    wanted = {(point, action) for point, _, action in asked}

    def cells(points: tuple[str, ...]) -> list[Cell]:
        found = [c for c in product(points, ACTIONS) if not wanted or c in wanted]
        return scene.rng.sample(found, len(found))

    await _matrix(scene, {room: cells(points) for room, points in POINTS.items()}, cells(SWEEP))
    assert set(RESULTS.cells.values()) == {"reached"}


@pytest.mark.timeout(300)
async def test_a_few_cells_of_each_room(scene: Scene) -> None:
    """The short form: other cells each time, those of the seed."""
    chosen = {}
    for room, points in POINTS.items():
        found = list(product(points, ACTIONS))
        chosen[room] = scene.rng.sample(found, min(SHORT_CELLS, len(found)))
    await _matrix(scene, chosen, [])
