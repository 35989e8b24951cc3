"""What an account has, every movement of it by day and by month, and what it pays.

What must never happen: a balance out of a cache, an agent's customer who sees his agent's money, a statement that is
held in memory.

    endpoints   /v1/balance, /v1/ledger, /v1/pricing
    statements  /v1/statements and CSV
    loops       adds the ledger up
    schemas     answers
"""
