"""Binds every subject's operations to what the subject needs. Nothing is decided here."""

from typing import Final

from sema_common.platform.db import Database
from sema_main_api.admin.audit import endpoints as audit
from sema_main_api.http.routing import Operation, Route, bind

# In the order in which the documentation shows them.
OPERATIONS: Final[tuple[Operation, ...]] = (*audit.OPERATIONS,)


def routes(pipeline: Database) -> list[Route]:
    """All routes of staff. They see every tenant, so they read and write through the pipeline pool."""
    return [*bind(audit.OPERATIONS, audit.Deps(pipeline))]
