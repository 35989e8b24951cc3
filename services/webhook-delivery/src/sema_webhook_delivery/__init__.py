"""webhook-delivery: every fact reaches every customer who subscribed to it, signed, or its failure is on record.

    door in        `webhooks.outbound` (facts in bundles; a customer's wish to have one delivery repeated)
    door out       customers' own HTTPS endpoints and callback URLs (Standard Webhooks 1.0.0)
    may write      `webhooks.deliveries`, `webhooks.webhook_delivery_attempts`, the health columns of
                   `webhooks.endpoints`; dead letters of its own queue in `core.dead_letters`
    asks nobody    a fact is complete; who subscribed is read from Postgres

The way of a fact: `handlers` fans it out into delivery rows and acknowledges it; `turns` decides whose turn it
is; `dispatch` makes the attempt through `clients` and writes down what came of it; `loops` claims what is due
again. The row in Postgres is the truth: memory only spares the first attempt a wait.

Must never happen here: a request to an address that is not public (but for a developer's own loopback), a
redirect followed, a delivery lost between its row and its last attempt, one slow customer who delays another,
a secret or a body in a log.
"""
