"""phone-validator: says of every uploaded contact whether it is a mobile that we can reach, and by which MNO.

Doors in:   `contacts.validate` (ValidateContacts: the id of a job; the numbers stay in Postgres).
Doors out:  `contacts.validate` again, when a job needs another turn. No other room is told: Postgres is.
Writes:     validity columns of `core.contacts`, `core.contact_validation_jobs`, `core.dead_letters`.
Decides:    E.164, country, MNO; a suggestion where it is sure what was meant.

What must never happen here: a contact counted twice; a list found invalid because the registry was empty; the
event loop held by arithmetic; a number in a log line.
"""
