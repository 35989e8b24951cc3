"""Logging in: a person proves who he is and gets an access token for some minutes.

What must never happen: an answer that tells an unknown user from a wrong password, by its words or by its time;
a password in a log line; a guess that costs its maker nothing.

    endpoints   POST /v1/auth/login
    passwords   Argon2id, in a few threads of its own
    tokens      access tokens: signed here, verified by the HTTP floor through a function
    clients     how often somebody may try (Redis)
    store       users by their e-mail address
"""
