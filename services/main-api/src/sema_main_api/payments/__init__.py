"""Money that comes in by M-Pesa, through Safaricom's Daraja.

Doors in    HTTP: `/v1/top-ups…` of customers; `/v1/callbacks/payments/{token}` of Daraja.
Doors out   Daraja: OAuth token, STK push, status query, the list of transactions.
Writes      `billing.top_ups`, `billing.mpesa_payments` and what belongs to them, and credits, through
            `sema_common.billing`.
Never       a credit because somebody said that he paid; a payment credited twice, whoever told of it; a push repeated
            whose answer was lost; a callback answered before it was kept.

    endpoints   what customers ask for and read        callbacks   the provider's door
    pushing     STK pushes, each once                  loops       asks, reads the list, reconciles
    settling    what becomes of a result and of a listed payment, each in one transaction
    clients     Daraja and its token                   rules       its bytes, and every decision
    metrics, schemas
"""
