"""Who may call what, as a table for people: out of the operations themselves, so that it cannot be wrong."""

from collections.abc import Iterable
from typing import Final

from sema_main_api.http.routing import Operation

ROLES: Final = ("owner", "admin", "developer", "viewer")
STAFF: Final = ("staff_admin", "staff_support")

_HEAD: Final = """# Who may call what

Written by `make openapi` out of the operations that main-api serves; do not edit it.

An API key needs the scope; a person of the account needs one of the roles; staff have routes of their own and no
others. Where a column is empty the answer is 403; a staff route, like another account's things, is a 404 to customers.

"""


def page(operations: Iterable[Operation]) -> str:
    """The whole page, one table in the order of the API's documentation."""
    header = ("route", "API key with scope", *ROLES, *STAFF)
    rows = [_row(operation) for operation in operations if operation.listed]
    lines = [header, ("---",) * len(header), *rows]
    return _HEAD + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _row(operation: Operation) -> tuple[str, ...]:
    route = f"`{operation.name}`"
    if operation.public:
        return (route, "anybody", *("✓" for _ in (*ROLES, *STAFF)))
    if operation.personal:
        return (route, "", *("✓" for _ in (*ROLES, *STAFF)))
    if operation.staff:
        return (route, "", *("" for _ in ROLES), *("✓" if role in operation.staff else "" for role in STAFF))
    scope = f"`{operation.scope}`" if operation.scope else ""
    return (route, scope, *("✓" if role in operation.roles else "" for role in ROLES), *("" for _ in STAFF))
