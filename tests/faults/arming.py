"""Arms the fault points of a running stack (`sema_common.platform.faults`), and sees whether they were reached."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Final

from sema_common.platform.faults import ARMED, Action, Arm

_IDS: Final = count(1)


class Points:
    """What is armed in the directory of one stack."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._arms: dict[str, Arm] = {}
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)

    def arm(self, point: str, action: Action, nth: int = 1, times: int = 1, about: str = "") -> Arm:
        """From now on the point acts at its nth hit (by what is `about` this), `times` times."""
        arm = Arm(str(next(_IDS)), point, action, nth, times, about)
        self._arms[arm.id] = arm
        self._write()
        return arm

    def disarm(self, *arms: Arm) -> None:
        """These do nothing any more; without any: none does."""
        for arm in arms or list(self._arms.values()):
            self._arms.pop(arm.id, None)
        self._write()

    def fired(self, arm: Arm) -> int:
        """How often it has acted."""
        return len(list(self._directory.glob(f"{arm.id}.*")))

    def _write(self) -> None:
        new = self._directory / "new"
        new.write_text(json.dumps([asdict(arm) for arm in self._arms.values()]))
        new.replace(self._directory / ARMED)
