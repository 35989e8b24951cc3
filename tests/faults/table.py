"""What a run of the fault suite has to show: a row for each fault, a matrix of fault points and actions, the seed."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.table import Table

SEED: Final = int(os.environ.get("SEED") or random.randrange(10**6))
"""One for the whole run; each test draws from it and its own name, so that one test alone plays the same."""

NOT_JUDGED: Final = "not judged"


@dataclass
class Row:
    """One fault: what was injected, the seconds from its end to the next message delivered, the verdict."""

    fault: str
    injected: str
    within: float
    seconds: float | None = None
    verdict: str = NOT_JUDGED


@dataclass
class Results:
    rows: list[Row] = field(default_factory=list)
    cells: dict[tuple[str, str], str] = field(default_factory=dict)

    def write(self, console: Console) -> None:
        if self.rows:
            table = Table("fault", "injected", "recovered", "within", "the checker's verdict", box=None)
            for row in sorted(self.rows, key=lambda row: int("".join(filter(str.isdigit, row.fault)) or 0)):
                seconds = "never" if row.seconds is None else f"{row.seconds:.1f} s"
                table.add_row(row.fault, row.injected, seconds, f"{row.within:g} s", row.verdict)
            console.print(table)
        if self.cells:
            actions = sorted({action for _, action in self.cells})
            table = Table("fault point", *actions, box=None)
            for point in dict.fromkeys(point for point, _ in self.cells):
                table.add_row(point, *(self.cells.get((point, action), "") for action in actions))
            console.print()
            console.print(table)
        if self.rows or self.cells:
            console.print(f"\nSEED={SEED} (the same again: make faults SEED={SEED})")


RESULTS: Final = Results()
