"""What is written to people. Plain text, and a link that carries its token behind `#`: no server's log sees it."""

from sema_common.platform.mail import Mail


def confirm_registration(to: str, web: str, token: str) -> Mail:
    text = f"""Welcome to Sema Link.

Follow this link within a day to open your account:

{web}/confirm#token={token}

If you have not asked for this, do nothing: no account is opened.
"""
    return Mail(to, "confirm_registration", "Confirm your e-mail address", text)


def registered_already(to: str, web: str) -> Mail:
    text = f"""Somebody, probably you, wanted to open an account at Sema Link with this address. You have one already:

{web}/login

If you have forgotten the password, ask for a new one there.
"""
    return Mail(to, "registered_already", "You have an account already", text)


def reset_password(to: str, web: str, token: str) -> Mail:
    text = f"""Follow this link within an hour to choose a new password:

{web}/reset-password#token={token}

If you have not asked for this, do nothing: your password stays as it is.
"""
    return Mail(to, "reset_password", "Choose a new password", text)


def password_changed(to: str) -> Mail:
    text = """The password of your account at Sema Link was changed just now, and you were logged out everywhere else.

If that was not you, ask for a new password at once and tell the owner of your account.
"""
    return Mail(to, "password_changed", "Your password was changed", text)


def invitation(to: str, web: str, token: str, company: str, brand: str = "Sema Link") -> Mail:
    """`brand`: in whose name the account is served; an agent's customers know nothing of us."""
    text = f"""You are invited to the account of {company} at {brand}.

Follow this link within seven days to choose a password:

{web}/join#token={token}
"""
    return Mail(to, "invitation", f"You are invited to {company}", text)


def staff_invitation(to: str, web: str, token: str) -> Mail:
    text = f"""You are invited to the staff of Sema Link.

Follow this link within seven days to choose a password:

{web}/join#token={token}
"""
    return Mail(to, "staff_invitation", "You are invited to the staff of Sema Link", text)
