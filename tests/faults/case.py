"""One fault as data: what is injected, and within what time the stack must be itself again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.scene import Injection, Scene

Inject = Callable[[Scene, Injection], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    """`within`: seconds from the end of the fault to the delivery of a message that is sent then.

    `rate`: messages a second meanwhile, which a machine that does other work besides still carries: a backlog of its
    own would read as a slow recovery. `doubts`: messages that may be in doubt afterwards, `known`: what else the
    checker is told. `short`: part of `make test` too. `apart`: never in a story with others, whose witness it ends.
    """

    fault: str
    injected: str
    within: float
    inject: Inject
    rate: float = 25.0
    doubts: int = 0
    short: bool = False
    apart: bool = False
    known: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.fault} {self.inject.__name__}"
