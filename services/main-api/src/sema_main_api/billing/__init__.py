"""What an account has, every movement of it, and what it pays. It only reads.

What must never happen: a balance out of a cache, an agent's customer who sees his agent's money.

    endpoints   /v1/balance, /v1/ledger, /v1/pricing
    schemas     answers
"""
