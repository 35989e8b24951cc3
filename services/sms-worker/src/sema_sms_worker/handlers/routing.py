"""Which jobs of a batch go where, now: the rules' choices, as far as connections and caution let calls leave."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sema_common.platform.db import Database
from sema_common.platform.logs import get_logger
from sema_common.wire.sms import Lane, SmsJob
from sema_sms_worker import metrics, store
from sema_sms_worker.clients.health import Health
from sema_sms_worker.clients.pacing import Pace
from sema_sms_worker.clients.ways import Way
from sema_sms_worker.rules.jobs import calls
from sema_sms_worker.rules.routing import PASSING, Choice, NoRoute, PassedOver, Route, Standing, Table, choose

log = get_logger()

REFRESH_SECONDS: Final = 1.0
"""How long a switch that staff have thrown may take to be seen."""

SHORT_WAIT: Final = 0.02
"""Until a call of ours is back, or another worker's trial is over."""

LONG_WAIT: Final = 0.5
"""Until a route may be open again."""


@dataclass(slots=True)
class Going:
    """Jobs that go to one aggregator now, each with its choice."""

    way: Way
    jobs: list[SmsJob] = field(default_factory=list)
    choices: list[Choice] = field(default_factory=list)
    trial: str | None = None

    def part(self, leaving: Sequence[SmsJob]) -> list[tuple[SmsJob, Choice]]:
        """Keep only what is leaving; the rest."""
        keys = {(job.message_id, job.attempt) for job in leaving}
        rest: list[tuple[SmsJob, Choice]] = []
        kept: list[tuple[SmsJob, Choice]] = []
        for job, choice in zip(self.jobs, self.choices, strict=True):
            (kept if (job.message_id, job.attempt) in keys else rest).append((job, choice))
        self.jobs, self.choices = [job for job, _ in kept], [choice for _, choice in kept]
        return rest


@dataclass(frozen=True, slots=True)
class PutOff:
    """A job that must not keep others waiting. `seconds`: when its turn comes; None: nobody knows."""

    job: SmsJob
    why: NoRoute
    seconds: float | None = None


@dataclass(slots=True)
class Plan:
    """`going`: now. `later`: in a moment. `waiting`: put off, while others can go. `never`: not at all."""

    going: list[Going] = field(default_factory=list)
    later: list[SmsJob] = field(default_factory=list)
    waiting: list[PutOff] = field(default_factory=list)
    never: list[tuple[SmsJob, NoRoute]] = field(default_factory=list)
    wait: float = LONG_WAIT

    def soon(self, jobs: Sequence[SmsJob]) -> None:
        """These go in a moment, and not much later."""
        if jobs:
            self.later += jobs
            self.wait = SHORT_WAIT


class Router:
    """The table in memory, as it was read last, beside the health of its routes."""

    def __init__(
        self, db: Database, ways: Mapping[str, Way], health: Health, paces: Mapping[str, Pace]
    ) -> None:
        self._db = db
        self._ways = ways
        self._able = {name: way.capabilities for name, way in ways.items()}
        self._paces = paces
        self.health = health
        self.table = Table([Route(name, able) for name, able in self._able.items()])

    async def refresh(self) -> None:
        """Read the table again. RetryLater while Postgres is away: the last one stays in force."""
        async with self._db.transaction() as tx:
            table = await store.read_table(tx, self._able)
        if table != self.table:
            log.info(
                "routes_read",
                routes=[r.aggregator for r in table.routes if r.enabled],
                off=[r.aggregator for r in table.routes if not r.enabled],
                accounts=len(table.accounts),
            )
        self.table = table
        for route in table.routes:
            self._paces[route.aggregator].per_second = route.per_second
            metrics.ENABLED.labels(route.aggregator).set(route.enabled)

    async def plan(
        self, lane: Lane, jobs: Sequence[SmsJob], failed: frozenset[str], *, patient: bool = True
    ) -> Plan:
        """What to do with jobs now. `failed`: aggregators that could not be reached with them a moment ago.

        A job that would wait in a long line for its pace, or (not `patient`) for a connection, is put off, if
        others could go meanwhile.
        """
        plan = Plan()
        groups: dict[str, Going] = {}
        held_trials: set[str] = set()
        known: dict[tuple[object, ...], Choice | NoRoute] = {}  # most jobs of a batch ask the same question
        for job in jobs:
            asked = (job.account_id, job.country, job.mno, job.kind, job.encoding, job.only_via, job.not_via)
            if (choice := known.get(asked)) is not None:
                self._place(plan, groups, job, choice)
                continue
            choice = choose(job, self.table, self._standing_but(held_trials), failed)
            while isinstance(choice, Choice) and choice.trial is not None:
                held_trials.add(choice.trial)
                if self._ways[choice.aggregator].free(lane) and await self.health.may_try(choice.trial):
                    going = Going(self._ways[choice.aggregator], [job], [choice], choice.trial)
                    plan.going.append(going)
                    break
                choice = choose(job, self.table, self._standing_but(held_trials), failed)
            else:
                known[asked] = choice
                self._place(plan, groups, job, choice)
        for name, going in groups.items():
            others = self._others_go(name)
            if others and not self._within_pace(plan, name, going, lane):
                continue
            room = self._room(name, lane)
            able = going.way.capabilities
            if room * (1 if able.one_text else able.max_bulk) >= len(going.jobs):  # nearly always
                plan.going.append(going)
                continue
            made = calls(going.jobs, able)
            rest = going.part([job for call in made[: max(room, 0)] for job in call])
            if going.jobs:
                plan.going.append(going)
            if others and not patient:
                plan.waiting += [PutOff(job, _passed(choice, "busy")) for job, choice in rest]
            else:
                plan.soon([job for job, _ in rest])
        return plan

    def _within_pace(self, plan: Plan, name: str, going: Going, lane: Lane) -> bool:
        """Put off what would wait long in the line of a route; whether anything is left."""
        pace = self._paces[name]
        fits = pace.fits(lane)
        if fits is not None and fits < len(going.jobs):
            rest = going.part(going.jobs[:fits])
            plan.waiting += [PutOff(job, _passed(choice, "paced"), pace.book(lane)) for job, choice in rest]
        return bool(going.jobs)

    def _place(self, plan: Plan, groups: dict[str, Going], job: SmsJob, choice: Choice | NoRoute) -> None:
        if isinstance(choice, Choice):
            going = groups.setdefault(choice.aggregator, Going(self._ways[choice.aggregator]))
            going.jobs.append(job)
            going.choices.append(choice)
        elif choice.never:
            plan.never.append((job, choice))
        elif any(why in PASSING for _, why in choice.passed_over):
            plan.soon([job])
        elif self._others_go():
            plan.waiting.append(PutOff(job, choice))
        else:
            plan.later.append(job)

    def _others_go(self, but: str | None = None) -> bool:
        """Whether others can go, by any route `but` this: then these must not keep them waiting."""
        return any(
            route.enabled
            and route.aggregator != but
            and self.health.standing(route.aggregator, None).state == "open"
            for route in self.table.routes
        )

    def _room(self, aggregator: str, lane: Lane) -> int:
        return min(self.health.room(aggregator), self._ways[aggregator].free(lane))

    def shut_for(self, choice: NoRoute) -> float:
        """How long the routes that were passed over will stay shut at least."""
        return min((self.health.seconds_until_trial(name) for name, _ in choice.passed_over), default=0.0)

    def _standing_but(self, held: set[str]) -> "Standings":
        return Standings(self.health, held)

    def still_open(self, going: Going) -> bool:
        """Whether what was planned may go on, after the wait for its pace."""
        return going.trial is not None or self.health.standing(going.way.name, None).state == "open"

    def another(self, job: SmsJob, aggregator: str) -> bool:
        """Whether any route but this one could ever take the job."""
        if job.only_via is not None:
            return False
        without = job.model_copy(update={"not_via": (*job.not_via, aggregator)})
        choice = choose(without, self.table, self.health.standing)
        return isinstance(choice, Choice) or not choice.never

    async def pace(self, going: Going, lane: Lane) -> None:
        """Wait until these messages may leave."""
        await self._paces[going.way.name].take(len(going.jobs), lane)


def _passed(choice: Choice, why: PassedOver) -> NoRoute:
    """Why the chosen route does not get a message now; what was passed over before stays said."""
    return NoRoute(((choice.aggregator, why), *choice.passed_over))


class Standings:
    """The health of routes, but for gates that somebody else is trying."""

    def __init__(self, health: Health, held: set[str]) -> None:
        self._health = health
        self._held = held

    def __call__(self, aggregator: str, mno: str | None) -> Standing:
        standing = self._health.standing(aggregator, mno)
        if standing.trial is not None and standing.trial in self._held:
            return Standing("shut", "being_tried", soft="|" in standing.trial)
        return standing
