"""People: how they register, are invited, get a new password, and what the owners of an account decide about them.

What must never happen: an answer to a stranger that tells whether an address is known here, a link that works twice,
an account without anybody who may manage it.

    endpoints/joining   register, confirm, accept an invitation
    endpoints/password  forgotten, reset, changed
    endpoints/managing  the account's users, and one's own name
    mails               what is written to people; pure
    people              staff and owners, as the operators' CLI makes them
    store               users, registrations and one-time links
"""
