"""What must hold in the database at every moment, and what must hold once it is quiet: one query each.

Every query answers the rows that break its rule, as (subject, detail), and runs as the superuser, whom no
policy hides a row from. `always` rules hold at every commit; the others once nothing is on its way.
The numbers are those of the invariants in `docs/reliability.md`.
"""

from dataclasses import dataclass
from typing import Final, LiteralString


@dataclass(frozen=True, slots=True)
class Rule:
    """One invariant: its name in a report, and the query that finds what breaks it."""

    name: str
    sql: LiteralString
    always: bool = True


_RANK: Final[LiteralString] = "orch.status_rank"
_FINAL: Final[LiteralString] = "('delivered', 'failed', 'expired')"

# How a message ended before any aggregator is known to have taken it: only then is its charge given back.
_NEVER_TAKEN: Final[LiteralString] = f"""
    m.status IN {_FINAL} AND NOT EXISTS (
        SELECT FROM orch.submit_attempts a WHERE a.message_id = m.message_id AND a.state = 'accepted')
"""

RULES: Final = (
    # ---- money: I1 to I4
    Rule(
        "balance_is_not_ledger",
        """
        SELECT c.account_id, format('balance %s, ledger %s', c.balance, COALESCE(sum(l.amount), 0))
        FROM billing.credits c LEFT JOIN billing.credit_ledger l USING (account_id)
        GROUP BY c.account_id HAVING c.balance <> COALESCE(sum(l.amount), 0)
        """,
    ),
    Rule(
        "below_limit",
        """
        SELECT account_id, format('balance %s, limit %s', balance, credit_limit)
        FROM billing.credits WHERE balance + credit_limit < 0
        """,
    ),
    Rule(
        "not_charged_once",
        """
        SELECT m.message_id, format('charged %s times, %s in all, costs %s', count(l.reference), -sum(l.amount), m.cost)
        FROM orch.sms_messages m
        LEFT JOIN billing.credit_ledger l ON l.reference = m.message_id AND l.kind = 'charge'
        LEFT JOIN billing.agent_sales s ON s.message_id = m.message_id
        GROUP BY m.message_id, m.cost, m.billing_account_id, s.wholesale
        HAVING COALESCE(-sum(l.amount), 0) <> COALESCE(s.wholesale, m.cost)
            OR (m.cost > 0 AND count(l.reference) <> 1) OR bool_or(l.account_id <> m.billing_account_id)
        """,
    ),
    Rule(
        "sale_is_not_what_the_customer_pays",
        """
        SELECT m.message_id, format('costs %s, sold for %s to %s by %s', m.cost, s.retail, s.customer_id, s.agent_id)
        FROM orch.sms_messages m
        LEFT JOIN billing.agent_sales s ON s.message_id = m.message_id
        LEFT JOIN billing.credit_ledger r ON r.reference = m.message_id AND r.kind = 'refund'
        WHERE m.account_id <> m.billing_account_id AND NOT m.test
          AND (s.retail IS DISTINCT FROM m.cost OR s.customer_id <> m.account_id OR s.agent_id <> m.billing_account_id
               OR (s.refunded_at IS NULL) <> (r.reference IS NULL))
        """,
    ),
    Rule(
        "agent_month_is_not_its_sales",
        """
        SELECT customer_id, format('the months say %s retail and %s wholesale, the sales %s and %s',
                                   months.retail, months.wholesale, sales.retail, sales.wholesale)
        FROM (SELECT customer_id, sum(retail - refunded_retail) AS retail,
                     sum(wholesale - refunded_wholesale) AS wholesale,
                     sum(commission - refunded_commission) AS commission
              FROM billing.agent_months GROUP BY customer_id) AS months
        FULL JOIN (SELECT customer_id, COALESCE(sum(retail) FILTER (WHERE refunded_at IS NULL), 0) AS retail,
                          COALESCE(sum(wholesale) FILTER (WHERE refunded_at IS NULL), 0) AS wholesale,
                          COALESCE(sum(commission) FILTER (WHERE refunded_at IS NULL), 0) AS commission
                   FROM billing.agent_sales GROUP BY customer_id) AS sales USING (customer_id)
        WHERE (months.retail, months.wholesale, months.commission)
            IS DISTINCT FROM (sales.retail, sales.wholesale, sales.commission)
        """,
    ),
    Rule(
        "charge_without_message",
        """
        SELECT l.reference, format('%s taken from %s', -l.amount, l.account_id) FROM billing.credit_ledger l
        WHERE l.kind = 'charge'
          AND NOT EXISTS (SELECT FROM orch.sms_messages m WHERE m.message_id = l.reference)
        """,
    ),
    Rule(
        "refunded_wrongly",
        f"""
        SELECT r.reference, format('%s refunds, %s of %s given back, status %s',
                                   count(*), sum(r.amount), max(COALESCE(s.wholesale, m.cost)), max(m.status))
        FROM billing.credit_ledger r
        LEFT JOIN orch.sms_messages m ON m.message_id = r.reference
        LEFT JOIN billing.agent_sales s ON s.message_id = r.reference
        LEFT JOIN core.accounts a ON a.id = m.account_id
        WHERE r.kind = 'refund'
        GROUP BY r.reference
        HAVING count(*) > 1 OR max(m.cost) IS NULL OR sum(r.amount) <> max(COALESCE(s.wholesale, m.cost))
            OR NOT EXISTS (SELECT FROM orch.message_events e WHERE e.message_id = r.reference
                           AND e.status IN ('failed', 'expired'))
            OR (NOT bool_or(a.refund_undelivered)
                AND EXISTS (SELECT FROM orch.submit_attempts s WHERE s.message_id = r.reference
                            AND s.state = 'accepted')
                AND max(m.status) IN {_FINAL})
        """,
    ),
    Rule(
        "unrefunded",
        f"""
        SELECT m.message_id, format('%s, never taken, %s kept', m.status, m.cost) FROM orch.sms_messages m
        WHERE {_NEVER_TAKEN} AND m.cost > 0
          AND NOT EXISTS (SELECT FROM billing.credit_ledger r WHERE r.reference = m.message_id AND r.kind = 'refund')
        """,
    ),
    Rule(
        "reservation_is_not_held",
        """
        SELECT c.account_id, format('%s set aside in the ledger, %s held by campaigns', set_aside.amount, held.amount)
        FROM billing.credits c,
             LATERAL (SELECT COALESCE(-sum(l.amount), 0) AS amount FROM billing.credit_ledger l
                      WHERE l.account_id = c.account_id AND l.counter_account = 'reservations') AS set_aside,
             LATERAL (SELECT COALESCE(sum(k.reserved), 0) AS amount FROM core.campaigns k
                      WHERE k.billing_account_id = c.account_id) AS held
        WHERE set_aside.amount <> held.amount
        """,
    ),
    Rule(
        "campaign_cost_is_not_charged",
        """
        SELECT k.id, format('cost %s, charged %s for %s messages of %s',
                            k.cost, charged.amount, charged.messages, k.expanded)
        FROM core.campaigns k,
             LATERAL (SELECT COALESCE(sum(COALESCE(s.retail, -l.amount)), 0) AS amount, count(m.message_id) AS messages
                      FROM orch.sms_messages m
                      LEFT JOIN billing.credit_ledger l ON l.reference = m.message_id AND l.kind = 'charge'
                      LEFT JOIN billing.agent_sales s ON s.message_id = m.message_id
                      WHERE m.campaign_id = k.id) AS charged
        WHERE k.cost <> charged.amount OR k.expanded <> charged.messages
        """,
    ),
    Rule(
        "campaign_twice_or_to_a_stranger",
        """
        SELECT m.campaign_id, format('%s messages to one number, recipient %s', count(*), bool_or(r.seq IS NOT NULL))
        FROM orch.sms_messages m
        LEFT JOIN core.campaign_recipients r ON r.campaign_id = m.campaign_id AND r.msisdn = m.to_msisdn
        WHERE EXISTS (SELECT FROM core.campaign_recipients known WHERE known.campaign_id = m.campaign_id)
        GROUP BY m.campaign_id, m.to_msisdn HAVING count(*) > 1 OR bool_or(r.seq IS NULL OR r.refused IS NOT NULL)
        """,
    ),
    Rule(
        "campaign_left_somebody_out",
        """
        SELECT k.id, format('%s of %s recipients without message or reason, %s held',
                            left_out.recipients, k.contacts, k.reserved)
        FROM core.campaigns k,
             LATERAL (SELECT count(*) AS recipients FROM core.campaign_recipients r
                      WHERE r.campaign_id = k.id AND r.refused IS NULL
                        AND NOT EXISTS (SELECT FROM orch.sms_messages m
                                        WHERE m.campaign_id = k.id AND m.to_msisdn = r.msisdn)) AS left_out
        WHERE (k.expanded_at IS NOT NULL AND (left_out.recipients > 0 OR k.expanded + k.refused <> k.contacts))
           OR (k.status IN ('completed', 'cancelled', 'rejected') AND k.reserved <> 0)
        """,
    ),
    # ---- the history: I7
    Rule(
        "status_is_not_history",
        f"""
        SELECT m.message_id, format('%s, but its events add up to %s', m.status,
                                    COALESCE(max(e.status) FILTER (WHERE {_RANK}(e.status) = top.rank), 'nothing'))
        FROM orch.sms_messages m
        LEFT JOIN LATERAL (SELECT max({_RANK}(e.status)) AS rank FROM orch.message_events e
                           WHERE e.message_id = m.message_id AND e.enqueued_at = m.enqueued_at) top ON true
        LEFT JOIN orch.message_events e ON e.message_id = m.message_id AND e.enqueued_at = m.enqueued_at
        GROUP BY m.message_id, m.status, top.rank
        HAVING NOT COALESCE(bool_or(e.status = m.status AND {_RANK}(e.status) = top.rank), false)
        """,
    ),
    Rule(
        "illegal_history",
        """
        SELECT m.message_id, string_agg(e.event_key, ' ' ORDER BY e.occurred_at, orch.status_rank(e.status))
        FROM orch.sms_messages m JOIN orch.message_events e USING (message_id, enqueued_at)
        GROUP BY m.message_id, m.enqueued_at
        HAVING count(*) FILTER (WHERE e.status = 'submitted') <> 1
            OR bool_or(e.status = 'submitted' AND e.occurred_at <> m.enqueued_at)
            OR bool_or(e.occurred_at < m.enqueued_at)
            OR count(*) FILTER (WHERE e.status = 'queued') > 1
            OR count(*) FILTER (WHERE e.status = 'delivered') > 1
            OR count(*) FILTER (WHERE e.status IN ('failed', 'expired')) > 1
            OR (bool_or(e.status = 'delivered') AND NOT bool_or(e.status = 'sent'))
        """,
    ),
    Rule(
        "event_without_message",
        """
        SELECT e.message_id, e.event_key FROM orch.message_events e
        WHERE NOT EXISTS (SELECT FROM orch.sms_messages m
                          WHERE m.message_id = e.message_id AND m.enqueued_at = e.enqueued_at)
        """,
    ),
    # ---- submits: I9
    Rule(
        "accepted_twice",
        """
        SELECT message_id, format('%s attempts accepted, by %s', count(*), string_agg(DISTINCT aggregator, ', '))
        FROM orch.submit_attempts WHERE state = 'accepted' GROUP BY message_id HAVING count(*) > 1
        """,
    ),
    Rule(
        "failed_over_in_doubt",
        """
        SELECT message_id, string_agg(aggregator || ' ' || state, ', ' ORDER BY attempt)
        FROM orch.submit_attempts GROUP BY message_id
        HAVING bool_or(state IN ('in_doubt', 'settled')) AND count(DISTINCT aggregator) > 1
        """,
    ),
    Rule(
        "bulk_resent_in_doubt",
        """
        SELECT message_id, string_agg(attempt || ' ' || state, ', ' ORDER BY attempt)
        FROM orch.submit_attempts WHERE lane = 'normal' GROUP BY message_id
        HAVING max(attempt) > COALESCE(min(attempt) FILTER (WHERE state IN ('in_doubt', 'settled')), 9999)
        """,
    ),
    # ---- walls: I10
    Rule(
        "across_tenants",
        """
        SELECT x.id, x.what FROM (
            SELECT m.message_id AS id, m.tenant_id, m.account_id, 'a message' AS what FROM orch.sms_messages m
            UNION ALL SELECT l.reference, l.tenant_id, l.account_id, 'a ledger entry' FROM billing.credit_ledger l
            UNION ALL SELECT d.id, d.tenant_id, d.account_id, 'a webhook delivery' FROM webhooks.deliveries d
            UNION ALL SELECT k.resource_id, k.tenant_id, k.account_id, 'an idempotency key' FROM orch.idempotency_keys k
            UNION ALL SELECT e.message_id, e.tenant_id, m.account_id, 'an event'
                FROM orch.message_events e JOIN orch.sms_messages m USING (message_id, enqueued_at)
        ) x JOIN core.accounts a ON a.id = x.account_id WHERE a.tenant_id <> x.tenant_id
        """,
    ),
    # ---- the end of the journey: I5, I8, I11, I12
    Rule(
        "campaign_unfinished",
        """
        SELECT id, format('%s since %s', status, moved_at) FROM core.campaigns
        WHERE status IN ('submitted', 'pending_content_check', 'approved', 'queued', 'sending')
        """,
        always=False,
    ),
    Rule(
        "stuck",
        f"""
        SELECT m.message_id, format('%s since %s, valid until %s', m.status, m.status_updated_at, m.valid_until)
        FROM orch.sms_messages m
        WHERE (m.status IN ('submitted', 'queued') AND m.valid_until < now() - interval '10 minutes')
           OR (m.status NOT IN {_FINAL} AND m.valid_until < now() - interval '73 hours')
        """,
    ),
    Rule(
        "unfinished",
        f"""
        SELECT m.message_id, format('%s since %s', m.status, m.status_updated_at) FROM orch.sms_messages m
        WHERE m.status NOT IN {_FINAL}
          AND NOT (m.status = 'sent' AND right(m.to_msisdn, 7) = ANY($1::text[])) AND m.enqueued_at >= $2
        """,
        always=False,
    ),
    Rule(
        "attempt_left_open",
        """
        SELECT message_id, format('attempt %s %s, due %s', attempt, state, due_at)
        FROM orch.submit_attempts WHERE due_at IS NOT NULL OR state = 'claimed'
        """,
        always=False,
    ),
    Rule(
        "report_unmatched",
        """
        SELECT id, format('%s of %s, received %s', description, aggregator, received_at)
        FROM dlr.dlrs WHERE state = 'unmatched'
        """,
        always=False,
    ),
    Rule(
        "dead_letter",
        "SELECT id, format('%s: %s', queue, reason) FROM core.dead_letters WHERE state = 'open'",
        always=False,
    ),
)

# What is owed: every fact of a message's history to each endpoint that had subscribed before the message came,
# and to its callback_url. The ids are derived, so the checker derives them again.
SQL_OWED: Final[LiteralString] = """
SELECT m.message_id, m.status AS stands, e.status, p.id::text AS target, p.id AS endpoint_id, NULL AS callback_url
FROM orch.sms_messages m
JOIN orch.message_events e USING (message_id, enqueued_at)
JOIN webhooks.endpoints p ON p.account_id = m.account_id AND 'message.' || e.status = ANY(p.events)
WHERE p.created_at < m.enqueued_at AND p.disabled_at IS NULL AND p.deleted_at IS NULL
UNION ALL
SELECT m.message_id, m.status, e.status, m.account_id::text, NULL, m.callback_url
FROM orch.sms_messages m JOIN orch.message_events e USING (message_id, enqueued_at)
WHERE m.callback_url IS NOT NULL AND e.status IN ('sent', 'delivered', 'failed', 'expired')
"""

SQL_DELIVERIES: Final[LiteralString] = """
SELECT d.id, d.event_id, d.endpoint_id, d.url, d.state, d.message_id, d.type, d.created_at, count(a.attempt) AS tried,
       bool_or(a.status_code BETWEEN 200 AND 299) AS taken
FROM webhooks.deliveries d LEFT JOIN webhooks.webhook_delivery_attempts a ON a.delivery_id = d.id
GROUP BY d.id
"""

# A message as the client and the witness know it: by its recipient and text.
SQL_MESSAGES: Final[LiteralString] = """
SELECT m.message_id, m.account_id, m.to_msisdn, m.body, m.enqueued_at, m.test, m.status, m.lane, m.route_id,
       (SELECT count(*) FROM orch.submit_attempts a WHERE a.message_id = m.message_id
            AND a.state IN ('accepted', 'in_doubt', 'settled', 'claimed')) AS perhaps_taken,
       EXISTS (SELECT FROM orch.submit_attempts a WHERE a.message_id = m.message_id
            AND a.state = 'accepted') AS taken
FROM orch.sms_messages m
"""

SQL_TOTALS: Final[LiteralString] = """
SELECT m.status, count(*) AS messages FROM orch.sms_messages m GROUP BY m.status
"""

SQL_DOUBTS: Final[LiteralString] = """
SELECT count(*) FROM orch.submit_attempts WHERE state IN ('in_doubt', 'settled') AND claimed_at >= $1
"""
