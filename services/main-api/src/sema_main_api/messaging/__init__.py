"""Messaging: a request becomes a priced, paid, durable message, and reaches its queue.

Doors in: POST /v1/messages, /batch, /estimate and the reads. Doors out: `sms.priority`, `sms.normal`.
What must never happen: a 202 before the commit, a charge without its message, one customer's locked balance
that stalls another's requests, a committed message that nobody publishes.

    endpoints   one function per route
    schemas     bodies
    rules       pure: what may be accepted at what price, who fits his balance, what is a replay
    reference   what the rules decide by (prices, networks, content rules, senders), kept fresh
    guarding    how much goes to one recipient or range of numbers, and is spent in an hour
    accepting   the group commit
    relay       committed messages to RabbitMQ, and the sweep for what no relay got to
    loops       sweep, purge, partitions
    store       SQL of this module that is not `orch` or `billing`
"""
