"""What is to run: a list that commands edit and the supervisor follows.

Every edit has a number. The supervisor says in its status which one it has followed, so that nobody takes what it wrote
before it had read an edit for the answer to it.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from deploy.local.files import replace
from deploy.local.layout import Layout


@dataclass(frozen=True, slots=True)
class Wanted:
    """Names of programs, after so many edits."""

    names: frozenset[str]
    edit: int


def read(layout: Layout) -> Wanted:
    try:
        found = json.loads(layout.wanted_file.read_text())
    except FileNotFoundError:
        return Wanted(frozenset(), 0)
    return Wanted(frozenset(found["names"]), found["edit"])


def change(layout: Layout, to: Callable[[frozenset[str]], Iterable[str]]) -> int:
    """From the names of now `to` others, one edit after the other however many ask at once; the edit's number."""
    with layout.wanted_file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = read(layout)
        edit = before.edit + 1
        replace(layout.wanted_file, json.dumps({"edit": edit, "names": sorted(to(before.names))}))
        return edit
