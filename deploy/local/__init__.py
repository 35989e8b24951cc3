"""The whole of Sema Link on one machine: private Postgres, Redis and RabbitMQ, the sandbox and the seven
services.

One supervisor (`run`) starts everything in order, restarts whatever dies, and stops it all in reverse.
`up` leaves it in the background and returns when everything answers; `down` ends it. The stores run as
an unprivileged user with their durability on, because a demonstration that cheats on durability proves
nothing.

Nothing here is used in production, and no service imports it.
"""
