"""Messages: their status machine, their public form and their store, the only SQL that writes `orch`; campaigns too.

Used by main-api (accept, publish, read), sms-worker (claims, outcomes) and dlr-processor (reports). What must
never happen: a status that goes back, an event that overwrites another, two claims of one attempt.
"""
