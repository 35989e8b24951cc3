"""The sandbox: outside parties, simulated over HTTP in their real wire formats.

Doors in: Celcom's `/api/services/…/`, Africa's Talking's `/version1/…`; `/_control/{name}` scripts one,
`/_received/{name}` is the witness of what it accepted, `/_hooks/{name}` takes customer webhooks. Door out:
delivery reports, pushed to dlr-webhook. For the local stack, demos, tests and benches only. What must never
happen in here: a look into Sema Link's own stores (a witness must be independent), a blocking wait, or an
accepted message that the witness missed.

    __main__  the command       app      the door: which path goes where
    celcom, africastalking      the doors of each (…_wire: its bytes)
    simulated what all do       pusher   delivery reports on their way out
    control   the script        witness  what was accepted, in order
    hooks     a webhook receiver
"""
