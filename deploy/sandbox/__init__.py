"""The sandbox: outside parties, simulated over HTTP in their real wire formats.

Doors in: Celcom's `/api/services/…/`, Africa's Talking's `/version1/…`, Daraja's `/oauth/…`, `/mpesa/…` and
`/pulltransactions/…`; `/_control/{name}` scripts one, `/_received/{name}` is the witness of what it accepted,
`/_hooks/{name}` takes customer webhooks. Doors out: delivery reports, pushed to dlr-webhook; Daraja's callbacks,
to main-api. For the local stack, demos, tests and benches only. What must never
happen in here: a look into Sema Link's own stores (a witness must be independent), a blocking wait, or an
accepted message or payment that the witness missed.

    __main__  the command       app      the door: which path goes where
    celcom, africastalking      the doors of each (…_wire: its bytes)
    daraja    OAuth, STK push and its query, callbacks (…_paybill: pay-bill payments and the list; …_wire: its
              bytes; …_script: its script)
    simulated what both aggregators do       pusher   delivery reports on their way out
    control   the script        witness  what was accepted, in order
    hooks     a webhook receiver
"""
