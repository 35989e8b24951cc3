"""What is sealed at rest, sealed anew with the newest key: after this, older keys may leave SECRETS_KEYS.

The operators' CLI runs it (`secrets rotate`) beside the running services. What must never happen here: a secret in the
clear outside this process, or one that is lost because none of the keys opens it.
"""
