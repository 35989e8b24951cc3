"""What two aggregators are for, and what they must never bring about: the same message twice."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Final

import asyncpg
import pytest

from tests.faults.scene import Scene
from tests.kit.client import AGGREGATORS, eventually

pytestmark = [pytest.mark.stack, pytest.mark.long, pytest.mark.timeout(600)]

MESSAGES: Final = 10_000
AT_ONCE: Final = 500
TIMEOUT_RATE: Final = 0.05
PRIORITY_SHARE: Final = 0.02
FAILS_AFTER: Final = 3_000
WELL_AFTER: Final = 6_000
MOVED: Final = 1_000
"""Messages that the other way must have taken before Celcom is well again, and Celcom before the story ends."""

FAILOVER_SECONDS: Final = 10.0
"""Calls that hang are seen when they time out (3 s here, 15 in production), several rounds of them."""

BACK_SECONDS: Final = 60.0
DONE_SECONDS: Final = 240.0


async def test_10_000_messages_with_5_percent_taken_and_never_answered(scene: Scene) -> None:
    """Both aggregators take a share of calls and say nothing, and in the middle Celcom fails altogether, so that new
    traffic goes the other way, and comes back. No message reaches both, and what ends unconfirmed is refunded to the
    cent.
    """
    before = await _balance(scene)
    token = f"{scene.rng.getrandbits(48):012x}"
    async with (
        _database(scene) as db,
        scene.sandbox.scripted(timeout_rate=TIMEOUT_RATE),
        scene.fault("F24", f"{MESSAGES} messages, 5 % of calls never answered, Celcom fails in between", 60),
    ):
        await _accepted(scene, token, range(FAILS_AFTER))
        await scene.sandbox.http.put("/_control/celcom", json={"mode": "http_500"})
        had = await _taken(scene)
        await _accepted(scene, token, range(FAILS_AFTER, WELL_AFTER))
        await eventually(lambda: _moved(scene, "africastalking", had), DONE_SECONDS)
        await scene.sandbox.http.put("/_control/celcom", json={"mode": "ok"})
        had = await _taken(scene)
        await _accepted(scene, token, range(WELL_AFTER, MESSAGES))
        await eventually(lambda: _moved(scene, "celcom", had), DONE_SECONDS)
        await eventually(lambda: _ended(scene, db), DONE_SECONDS)
    # A hanging call leaves all that it carries in doubt, and the priority lane may meet a second one.
    report = await scene.judge(doubts=MESSAGES // 2)
    assert report.totals["ever in doubt"] > 0
    books = [entry for entry in await scene.sandbox.witnesses() if token in entry["text"]]
    both = Counter(text for text, _ in {(entry["text"], entry["aggregator"]) for entry in books})
    assert max(both.values()) == 1, [text for text, number in both.items() if number > 1]
    async with _database(scene) as db:
        statuses = await db.fetch(SQL_STATUSES, scene.client.account_id)
    kept = sum(row["cost"] for row in statuses if row["status"] in KEPT)
    assert before - await _balance(scene) == kept, "every refund exact"
    for row in statuses:
        print(f"{row['status']} {row['code'] or ''}: {row['messages']}")
    print(f"taken by {dict(Counter(entry['aggregator'] for entry in books))}; spent {kept}")


SQL_STATUSES: Final = """
SELECT status, last_error->>'code' AS code, count(*) AS messages, sum(cost) AS cost
FROM orch.sms_messages WHERE account_id = $1 GROUP BY 1, 2 ORDER BY 1, 2
"""
KEPT: Final = frozenset({"sent", "delivered"})


@asynccontextmanager
async def _database(scene: Scene) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    db = await asyncpg.connect(scene.stack.env["DATABASE_URL"])
    try:
        yield db
    finally:
        await db.close()


async def _accepted(scene: Scene, token: str, numbers: range) -> None:
    """These messages, in batches, some of them urgent."""
    for start in numbers[::AT_ONCE]:
        messages = [
            {
                "to": f"+25471{number:07}",
                "from": "SEMALINK",
                "body": f"Ten thousand {token} {number}",
                "lane": "priority" if scene.rng.random() < PRIORITY_SHARE else "normal",
            }
            for number in range(start, start + AT_ONCE)
        ]
        answer = await scene.client.post("/v1/messages/batch", {"messages": messages}, f"{token}-{start}")
        assert answer.status_code == 202, answer.text
        assert answer.json()["accepted"] == AT_ONCE


async def _moved(scene: Scene, aggregator: str, had: Counter[str]) -> None:
    assert (await _taken(scene))[aggregator] >= had[aggregator] + MOVED


async def _ended(scene: Scene, db: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Nothing is on its way any more."""
    found = {row["status"] for row in await db.fetch(SQL_STATUSES, scene.client.account_id)}
    assert found <= {"delivered", "failed", "expired"}, found


async def _balance(scene: Scene) -> Decimal:
    return Decimal((await scene.client.get("/v1/balance"))["balance"]["amount"])


@pytest.mark.parametrize(
    ("number", "what", "script"),
    [
        ("F22", "Celcom takes 30 s to answer", {"latency_ms": 30_000}),
        ("F23", "Celcom answers 500", {"mode": "http_500"}),
    ],
)
async def test_new_traffic_takes_the_other_way_and_comes_back(
    scene: Scene, number: str, what: str, script: dict[str, object]
) -> None:
    async with scene.load(40.0).running():
        async with scene.fault(number, what, 15):
            before = await _taken(scene)
            started = time.monotonic()
            async with scene.sandbox.scripted("celcom", **script):

                async def other_way() -> None:
                    assert (await _taken(scene))["africastalking"] >= before["africastalking"] + 20

                await eventually(other_way, FAILOVER_SECONDS)
                print(f"{what}: the other way after {time.monotonic() - started:.1f} s")
                await asyncio.sleep(2.0)
        back = time.monotonic()
        had = (await _taken(scene))["celcom"]

        async def home_again() -> None:
            assert (await _taken(scene))["celcom"] >= had + 20

        await eventually(home_again, BACK_SECONDS)
        print(f"{what}: back on Celcom after {time.monotonic() - back:.1f} s")
    await scene.judge(doubts=2 * len(scene.client.history))


async def _taken(scene: Scene) -> Counter[str]:
    found: Counter[str] = Counter()
    for name in AGGREGATORS:
        found[name] = (await scene.sandbox.http.get(f"/_control/{name}/stats")).json()["submitted"]
    return found


async def test_with_no_way_at_all_messages_wait_for_their_validity_and_are_refunded(scene: Scene) -> None:
    """F25. A minute is the shortest validity; the promise is the same for a day."""
    await scene.stack.stop("sandbox")
    ids = []
    async with scene.fault("F25", "both aggregators away for longer than a validity of 60 s", 15):
        for number in range(20):
            message = await scene.client.send(
                f"+2547120001{number:02}", f"Nobody home {scene.rng.random()}", validity_seconds=60
            )
            ids.append(message["id"])
        for identity in ids:
            ended = await scene.client.reaches(identity, "expired", seconds=120.0)
            assert ended["error"]["code"] == "validity_expired", ended
        await scene.stack.start("sandbox")
    await scene.judge()
