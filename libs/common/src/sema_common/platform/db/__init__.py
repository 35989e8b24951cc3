"""Postgres: a pool whose every wait is bounded and whose failures speak the words of `values.errors`.

    StoreUnavailable   away, restarting, read-only, too slow: nothing was committed
    LockBusy           a row stayed locked for longer than `lock_timeout`
    Overloaded         every connection of this pool is in use
    OutcomeUnknown     the answer to COMMIT was lost
    RetryLater         a deadlock or a serialization failure: the same transaction may succeed now

The only package that imports asyncpg. Constraint violations pass through under the names below.
What must never happen here: SQL of a room, a wait without a bound, a second try of something that may have
been done.
"""

from sema_common.platform.db.database import COMMAND_SECONDS, Database
from sema_common.platform.db.failures import (
    CheckViolation,
    DataError,
    ExclusionViolation,
    ForeignKeyViolation,
    InsufficientPrivilege,
    IntegrityViolation,
    NotNullViolation,
    Row,
    Tx,
    UniqueViolation,
)
from sema_common.platform.db.listening import Listener

__all__ = [
    "COMMAND_SECONDS",
    "CheckViolation",
    "DataError",
    "Database",
    "ExclusionViolation",
    "ForeignKeyViolation",
    "InsufficientPrivilege",
    "IntegrityViolation",
    "Listener",
    "NotNullViolation",
    "Row",
    "Tx",
    "UniqueViolation",
]
