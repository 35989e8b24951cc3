"""Agents: companies that sell our service on to customers of their own, one level deep.

An agent's customer is an account in the agent's tenant. His sends draw on the agent's balance at the agent's wholesale
price; what he owes his agent (retail), the margin and the commission are written beside it (`sema_common.billing`).
What must never happen: an agent who sees or changes another's customer, a customer who sees a wholesale price, a rate
below what the agent pays, a customer of a customer.

    endpoints   /v1/agent/… (customers, their rates, commissions, messages, branding), /v1/branding
    loops       pays last month's commissions
    schemas     bodies and answers
    rules       pure: what a rate may be
    store       SQL of core.agent_branding, customers' accounts, and what agents read
"""
