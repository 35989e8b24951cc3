"""The sandbox: outside parties, simulated over HTTP in their real wire formats.

Doors in: Celcom's `/api/services/…/`; `/_control/{name}` scripts it, `/_received/{name}` is the witness of
what it accepted, `/_hooks/{name}` takes customer webhooks. Door out: delivery reports, pushed to dlr-webhook.
For the local stack, demos, tests and benches only. What must never happen in here: a look into Sema Link's
own stores (a witness must be independent), a blocking wait, or an accepted message that the witness missed.

    __main__  the command       app      the door: which path goes where
    celcom    Celcom's side     pusher   delivery reports on their way out
              (celcom_wire: its bytes)
    control   the script        witness  what was accepted, in order
    hooks     a webhook receiver
"""
