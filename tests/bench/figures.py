"""One line of the table: what was measured, what it should be, and the baseline measured beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Figure:
    """`value` and `target` share `unit`; `at_most`: smaller is better. `baseline` is of the same run.

    `cost` says where the CPU of one message went: neighbours on the machine change it less than the speed.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    at_most: bool = False
    baseline: str = ""
    baseline_value: float | None = None
    note: str = ""
    cost: str = ""

    @property
    def reached(self) -> bool | None:
        """None without a target."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target

    @property
    def ratio(self) -> str:
        return f"{self.value / self.baseline_value:.2f}×" if self.baseline_value else ""


def show(figures: Sequence[Figure]) -> None:
    """Print the table; a figure below its target is marked, never an error: machines differ."""
    console = Console(width=None if Console().is_terminal else 160)
    table = Table("measurement", "figure", "target", "baseline (same run)", "ratio", "note", box=None)
    for figure in figures:
        mark = {True: "[green]", False: "[yellow]", None: ""}[figure.reached]
        target = "" if figure.target is None else f"{'≤' if figure.at_most else '≥'} {number(figure.target)}"
        baseline = (
            f"{figure.baseline}: {number(figure.baseline_value)}" if figure.baseline_value is not None else ""
        )
        table.add_row(
            figure.name,
            f"{mark}{number(figure.value)} {figure.unit}",
            target,
            baseline,
            figure.ratio,
            figure.note,
        )
    console.print(table)
    for figure in figures:
        if figure.cost:
            console.print(f" [bold]{figure.name.strip()}[/bold]: {figure.cost}")
    console.print(f"load average at the end {load()}, {os.cpu_count()} cores", style="dim")


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def load() -> str:
    """Of one, five and fifteen minutes; the bench itself is part of it."""
    return " ".join(f"{average:.1f}" for average in os.getloadavg())
