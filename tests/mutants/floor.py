"""Defects of the floor: the broker's client, logs, settings, loops."""

from typing import Final

from tests.mutants.mutant import COMMON, INTEGRATION, UNIT, Mutant

FLOOR: Final = (
    Mutant(
        "acknowledged before the handler's commit",
        f"{COMMON}/platform/bus/outcome.py",
        "            started = time.perf_counter()\n            try:\n",
        "            started = time.perf_counter()\n            for item in batch:\n"
        "                await self._ack(item)\n            try:\n",
        f"{INTEGRATION}/platform/test_bus.py::test_leaving_gives_back_what_waits_for_a_retry",
    ),
    Mutant(
        "a publish to no queue counts as done",
        f"{COMMON}/platform/bus/publisher.py",
        "on_return_raises=True",
        "on_return_raises=False",
        f"{INTEGRATION}/platform/test_bus.py"
        "::test_a_publish_without_a_queue_is_an_error_and_the_queue_is_declared_again",
    ),
    Mutant(
        "nack for reject: from RabbitMQ 4.3 on it counts nothing",
        f"{COMMON}/platform/bus/outcome.py",
        "await item.channel.basic_reject(_tag(item), requeue=True, wait=False)",
        "await item.channel.basic_nack(_tag(item), requeue=True, wait=False)",
        f"{UNIT}/platform/test_outcome.py",
    ),
    Mutant(
        "a publish waits for its confirm without end",
        f"{COMMON}/platform/bus/publisher.py",
        "mandatory=True, timeout=PUBLISH_SECONDS, wait=False",
        "mandatory=True, timeout=None, wait=False",
        f"{INTEGRATION}/platform/test_bus.py::test_a_silent_broker_is_noticed_by_the_missing_confirm",
    ),
    Mutant(
        "what is logged may hold a text",
        f"{COMMON}/platform/logs.py",
        'DROPPED_KEYS: Final = frozenset({"body", "text", ',
        "DROPPED_KEYS: Final = frozenset({",
        f"{UNIT}/platform/test_logs.py::test_bodies_and_secrets_are_dropped_at_every_depth",
    ),
    Mutant(
        "production may be started with fault points",
        f"{COMMON}/platform/settings.py",
        'self.environment not in ("local", "test")',
        'self.environment == "production"',
        f"{UNIT}/platform/test_faults.py",
    ),
    Mutant(
        "a library's cancellation ends a periodic loop",
        f"{COMMON}/platform/room.py",
        "            if is_asked(exc):\n",
        "            if isinstance(exc, asyncio.CancelledError):\n",
        f"{UNIT}/platform/test_runtime.py::test_a_failed_run_does_not_end_its_loop",
    ),
)
