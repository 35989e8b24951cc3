"""Logging in: a person proves who he is, by password and second factor, and gets a session with short-lived tokens.

What must never happen: an answer that tells an unknown user from a wrong password, by its words or by its time;
a password in a log line; a guess that costs its maker nothing.

    endpoints   login, refresh, logout, sessions, the second factor
    tokens      access tokens: signed here, verified by the HTTP floor through a function
    sessions    what is open where, and refresh tokens that work once (Redis)
    totp        codes of authenticator apps, and recovery codes
    store       users by their e-mail address, and their second factor
"""
