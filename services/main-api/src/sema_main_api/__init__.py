"""HTTP in, priced and paid messages out: the only room that customers and staff talk to.

Doors in    HTTP: `/v1/…`, `/docs`, `/openapi.json`, `/healthz`, `/readyz`.
Doors out   `sms.priority`, `sms.normal`; `contacts.validate`; `webhooks.outbound` (test pings and redeliveries); any
            queue (a dead letter that staff send again); Daraja (M-Pesa).
Writes      `core` (accounts, users, api_keys, sender_ids, contact lists, suppressions, audit_log, dead_letters),
            `webhooks.endpoints`; `billing` and `orch` through their wings of libs/common.
Never       a 202 before the commit; a charge without its message; a row of one account in an answer to another;
            a secret or a text in a log line; a message consumed from a queue.

A modular monolith. `http` is the floor that all modules stand on; the modules (`auth`, `accounts`, `billing`,
`contacts`, `messaging`, `webhooks`, `admin`) are strangers to each other, and only `app` and `cli` know more than one
of them.
"""
