"""Defects of sending: the relay, the choice of a way, doubts, the sweep, turns."""

from typing import Final

from tests.mutants.mutant import COMMON, INTEGRATION, MAIN_API, SMS_WORKER, Mutant

SENDING: Final = (
    Mutant(
        "the relay marks what was never confirmed",
        f"{MAIN_API}/messaging/relay.py",
        "        if result is None:\n",
        "        if result is None or isinstance(result, RetryLater):\n",
        "services/main-api/tests/integration/messaging/test_relay.py"
        "::test_what_the_broker_did_not_confirm_stays_submitted",
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
        "a bond is not told: the sweep publishes a message in doubt for anybody",
        f"{SMS_WORKER}/rules/routing.py",
        'return choice if job.only_via is None else choice | {"reason": "resend"}',
        "return choice",
        "services/sms-worker/tests/unit/test_routing.py::test_a_bond_is_told_whatever_the_reason_of_the_choice",
    ),
    Mutant(
        "a message in doubt reaches the other aggregator at the second hop",
        f"{SMS_WORKER}/loops.py",
        '"only_via": attempt.aggregator if bound else None',
        '"only_via": None',
        "services/sms-worker/tests/integration/test_two_routes.py"
        "::test_a_doubt_stays_with_its_aggregator_also_after_a_trial_that_was_not_taken",
    ),
    Mutant(
        "the sweep overwrites what a worker has said meanwhile",
        f"{COMMON}/messages/store/attempts.py",
        " AND a.due_at = $4\n",
        " AND $4::timestamptz IS NOT NULL\n",
        "services/sms-worker/tests/integration/test_sweep.py::test_what_a_worker_says_before_the_confirm_stands",
    ),
    Mutant(
        "the sweep forgets a message that waits for its route",
        f"{SMS_WORKER}/loops.py",
        'max(row.valid_until, again) if a.state == "waiting" else None',
        "None",
        "services/sms-worker/tests/integration/test_sweep.py"
        "::test_what_nobody_has_had_yet_is_looked_at_again_at_its_end",
    ),
    Mutant(
        "campaigns of suspended accounts keep others from their turn",
        f"{MAIN_API}/scheduler/store/feeding.py",
        "JOIN core.accounts a ON a.id = c.account_id AND a.status = 'active'",
        "JOIN core.accounts a ON a.id = c.account_id",
        "services/main-api/tests/integration/test_campaign_many.py"
        "::test_campaigns_of_a_suspended_account_keep_no_place_from_anybody",
    ),
    Mutant(
        "a corrected dead letter frees a resend to go another way",
        f"{MAIN_API}/admin/dead_letters/rules/corrections.py",
        "            if getattr(job, name) != getattr(bonds, name):\n",
        "            if getattr(job, name) is bonds:\n",
        "services/main-api/tests/integration/admin/test_dead_letters_in_doubt.py"
        "::test_a_correction_cannot_free_a_resend_to_go_another_way",
    ),
)
