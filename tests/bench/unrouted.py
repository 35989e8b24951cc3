"""sms-worker as it would be without its routing layer: everything goes to Celcom, nothing is counted or paced.

Everything else is the same program, so that the table compares what routing costs and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from sema_aggregators import SubmitOutcome
from sema_common.platform.runtime import run
from sema_common.wire.sms import Lane, SmsJob
from sema_sms_worker import app
from sema_sms_worker.clients.health import Health
from sema_sms_worker.handlers.routing import Going, Plan, Router
from sema_sms_worker.rules.routing import Choice
from sema_sms_worker.settings import Settings

CELCOM = Choice("celcom", "primary")


class Deaf(Health):
    """Learns nothing."""

    def began(self, aggregator: str, networks: frozenset[str], trial: str | None) -> int:
        return 0

    def ended(self, aggregator: str, number: int, outcomes: Sequence[SubmitOutcome]) -> None:
        return None


class Unrouted(Router):
    """One way for all."""

    async def plan(
        self, lane: Lane, jobs: Sequence[SmsJob], failed: frozenset[str], *, patient: bool = True
    ) -> Plan:
        return Plan([Going(self._ways["celcom"], list(jobs), [CELCOM] * len(jobs))])

    async def pace(self, going: Going, lane: Lane) -> None:
        return None

    def still_open(self, going: Going) -> bool:
        return True


if __name__ == "__main__":
    vars(app).update(Router=Unrouted, Health=Deaf)
    run("sms-worker", Settings, app.open_room)
