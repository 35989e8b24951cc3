"""Defects of money: balances, the ledger, what is accepted, what is given back."""

from typing import Final

from tests.mutants.mutant import COMMON, INTEGRATION, MAIN_API, Mutant

MONEY: Final = (
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
)
