"""Defects worth money or trust, one small edit each, and the quickest test that has to notice it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

COMMON: Final = "libs/common/src/sema_common"
MAIN_API: Final = "services/main-api/src/sema_main_api"
SMS_WORKER: Final = "services/sms-worker/src/sema_sms_worker"
UNIT: Final = "libs/common/tests/unit"
INTEGRATION: Final = "libs/common/tests/integration"


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old` is in `path` exactly once and becomes `new`; then `test` must fail, which without it passes."""

    name: str
    path: str
    old: str
    new: str
    test: str


MUTANTS: Final = (
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
        "the ledger's unique key is gone",
        "deploy/migrations/sql/0004_billing_tables.sql",
        "    PRIMARY KEY (reference, kind)\n",
        "    CHECK (reference IS NOT NULL)\n",
        f"{INTEGRATION}/billing/test_ledger.py::test_a_message_cannot_be_charged_twice",
    ),
    Mutant(
        "balances are read without a lock",
        f"{COMMON}/billing/ledger.py",
        "ORDER BY account_id FOR NO KEY UPDATE SKIP LOCKED\n",
        "ORDER BY account_id\n",
        "services/main-api/tests/integration/messaging/test_accepting.py"
        "::test_a_balance_locked_elsewhere_delays_nobody_else_and_ends_in_503",
    ),
    Mutant(
        "published before the commit",
        f"{MAIN_API}/messaging/accepting.py",
        "                decided = await self._write(tx, taken, balances)\n            fault",
        "                decided = await self._write(tx, taken, balances)\n"
        "                self._relay.offer(decided.accepted)\n            fault",
        "services/main-api/tests/integration/messaging/test_accepting.py::test_a_lost_answer_to_commit_is_looked_up",
    ),
    Mutant(
        "an idempotency key that somebody else took is ignored",
        f"{MAIN_API}/messaging/accepting.py",
        "            if len(held) != len(decided.kept):\n",
        "            if len(held) > len(decided.kept):\n",
        "services/main-api/tests/integration/messaging/test_accepting.py"
        "::test_a_key_that_somebody_else_took_meanwhile_fails_alone",
    ),
    Mutant(
        "the relay marks what was never confirmed",
        f"{MAIN_API}/messaging/relay.py",
        "        if result is None:\n",
        "        if result is None or isinstance(result, RetryLater):\n",
        "services/main-api/tests/integration/messaging/test_relay.py"
        "::test_what_the_broker_did_not_confirm_stays_submitted",
    ),
    Mutant(
        "a tenant's context outlives its transaction",
        f"{MAIN_API}/http/store.py",
        "SELECT set_config('app.tenant_id', $1, true)",
        "SELECT set_config('app.tenant_idle', $1, true)",
        "services/main-api/tests/integration/test_billing.py::test_a_new_account_has_its_opening_credit",
    ),
    Mutant(
        "a timeout counts as never sent, and goes to the other aggregator",
        "libs/aggregators/src/sema_aggregators/port.py",
        "TransportFailure.CONNECT, TransportFailure.TLS})",
        "TransportFailure.CONNECT, TransportFailure.TLS, TransportFailure.TIMEOUT})",
        "libs/aggregators/tests/test_test_mode.py::test_only_what_surely_never_left_may_be_sent_again",
    ),
    Mutant(
        "a doubt is resent to whichever aggregator is first",
        f"{SMS_WORKER}/rules/routing.py",
        "only = job.only_via or (rule.aggregator if rule.forced else None)",
        "only = rule.aggregator if rule.forced else None",
        "services/sms-worker/tests/unit/test_routing.py"
        "::test_a_message_in_doubt_never_goes_to_another_aggregator",
    ),
    Mutant(
        "a bulk text in doubt is sent again",
        f"{SMS_WORKER}/rules/doubt.py",
        'if attempt.lane == "priority" and not resent',
        "if not resent",
        "services/sms-worker/tests/unit/test_rules.py",
    ),
    Mutant(
        "an attempt may be claimed twice",
        f"{COMMON}/messages/store/attempts.py",
        "WHERE a.state = 'waiting'\nRETURNING",
        "WHERE a.state IN ('waiting', 'claimed')\nRETURNING",
        f"{INTEGRATION}/messages/test_attempts.py::test_many_workers_claim_each_attempt_once",
    ),
    Mutant(
        "a refund without looking at how the message stands",
        f"{COMMON}/messages/ending.py",
        "    refunds = len(await ledger.refund(tx, moved)) if moved else 0\n",
        "    refunds = len(await ledger.refund(tx, [r.message_id for r in records]))\n",
        "services/sms-worker/tests/integration/test_gathering.py"
        "::test_a_message_that_was_delivered_meanwhile_does_not_end",
    ),
    Mutant(
        "a charge is given back as often as somebody asks",
        f"{COMMON}/billing/ledger.py",
        "        SELECT FROM billing.credit_ledger r WHERE r.reference = wanted.reference AND r.kind = 'refund')\n",
        "        SELECT FROM billing.credit_ledger r WHERE r.reference = wanted.reference AND r.kind = 'nothing')\n",
        f"{INTEGRATION}/billing/test_ledger.py::test_100_concurrent_refunds_pay_once",
    ),
    Mutant(
        "a late failure takes a delivery back",
        f"{COMMON}/messages/store/reports.py",
        "orch.status_rank(r.status) > orch.status_rank(m.status)",
        "orch.status_rank(r.status) <> orch.status_rank(m.status)",
        "services/dlr-processor/tests/integration/test_room.py::test_a_contradiction_moves_nothing_and_is_kept",
    ),
    Mutant(
        "a report of a message that nobody knows is refused",
        "services/dlr-webhook/src/sema_dlr_webhook/endpoints.py",
        "                await self._read(receive, body, limit=rules.MAX_BODY - len(query))\n",
        "                await self._read(receive, body, limit=rules.MAX_BODY - len(query))\n"
        '                if not body.startswith(b"{"):\n'
        '                    raise Refused("unknown_message", "no such message", 404)\n',
        "services/dlr-webhook/tests/unit/test_door.py::test_any_body_of_any_type_is_taken_as_it_came",
    ),
    Mutant(
        "200 to a report before the broker has it",
        "services/dlr-webhook/src/sema_dlr_webhook/clients.py",
        "            answers += [outcome] * len(bundle)\n",
        "            answers += [None] * len(bundle)\n",
        "services/dlr-webhook/tests/unit/test_clients.py",
    ),
    Mutant(
        "webhooks follow redirects",
        "services/webhook-delivery/src/sema_webhook_delivery/clients.py",
        "allow_redirects=False",
        "allow_redirects=True",
        "services/webhook-delivery/tests/integration/test_room.py"
        "::test_a_redirect_is_a_failure_and_never_followed",
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
