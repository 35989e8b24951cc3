"""sms-worker: submits accepted messages to an aggregator and records what became of them.

Doors in:   `sms.priority` and `sms.normal` (SmsJobs, SettleAttempts), each with a consumer, sender slots and
            connections of its own; their dead-letter queues.
Doors out:  the aggregators' HTTP; `webhooks.outbound` (Facts); `dlr.inbound` (reports of test mode,
            and what polling finds); its own two queues again (retries and what is to be settled, found by the sweep).
Writes:     attempts, status and events in `orch`; refunds in `billing`; `core.dead_letters`; opt-outs that an
            aggregator answers with, added to `core.suppressions`.
Decides:    route, retry, outcome; what is in doubt or past its validity.

What must never happen here: a submit without a claim; a message in doubt submitted again by the normal lane,
or by any lane to another aggregator; a refund for what may still go out; an ack before its effects are
committed and its facts are confirmed; a known outcome given up because a store is away.
"""
