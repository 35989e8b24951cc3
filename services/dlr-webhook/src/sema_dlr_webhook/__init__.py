"""dlr-webhook: takes raw delivery reports from aggregators and puts them on `dlr.inbound`.

Doors in:   POST or GET /{aggregator}/{token} on HTTP_PORT; GET /healthz, /readyz there too.
Doors out:  `dlr.inbound` (RawDlrs, 1–100 reports in one AMQP message).
Writes:     nothing. It has no database.
Decides:    is the token ours, is the size sane.

What must never happen here: a 200 before the broker's confirm; a 4xx for what a body says (nobody sends those
again); a look inside a body; a token in a log line, a label or an answer; anything that knows an aggregator's
format, since that would need deploys, and whoever deploys is away.
"""
