"""Accounts and what belongs to them: who am I, API keys, sender IDs; and the opening of accounts by operators.

What must never happen: a key or secret that can be read back, a change without its line in the audit log.

    endpoints   /v1/me, /v1/api-keys, /v1/sender-ids
    opening     a new account with its balance, sender and keys, and its people: the operators' CLI calls it
    schemas     bodies and answers
    rules       pure: what a sender ID may look like
    store       SQL of core.accounts, users, api_keys and sender_ids
"""
