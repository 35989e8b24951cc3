"""Customers' webhook endpoints: where facts go, which of them, and what became of each delivery.

It writes `webhooks.endpoints` and reads the rest; delivering is webhook-delivery's work. Door out:
`webhooks.outbound` (test pings and redeliveries). What must never happen: a secret shown twice, an endpoint
inside our own walls.

    endpoints    /v1/webhooks: create, list, change, delete, rotate-secret, test, default-secret
    deliveries   what was delivered and how, and once more
    schemas      bodies and answers
    store        SQL of `webhooks`
"""
