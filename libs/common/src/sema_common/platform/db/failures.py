"""What a driver's exception means to a room, and the names of those that pass through."""

from typing import TYPE_CHECKING, Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from sema_common.values.errors import LockBusy, RetryLater, StoreUnavailable

Row: TypeAlias = asyncpg.Record
if TYPE_CHECKING:
    Tx: TypeAlias = PoolConnectionProxy[asyncpg.Record]
else:
    Tx = PoolConnectionProxy  # generic in its stubs only

UniqueViolation = asyncpg.UniqueViolationError
CheckViolation = asyncpg.CheckViolationError
ForeignKeyViolation = asyncpg.ForeignKeyViolationError
NotNullViolation = asyncpg.NotNullViolationError
ExclusionViolation = asyncpg.ExclusionViolationError
IntegrityViolation = asyncpg.IntegrityConstraintViolationError
InsufficientPrivilege = asyncpg.InsufficientPrivilegeError
DataError = asyncpg.DataError

_GONE: Final = (
    asyncpg.PostgresConnectionError,  # class 08, and what asyncpg raises for a closed connection
    asyncpg.OperatorInterventionError,  # 57: shutdown, crash, starting up, cancelled by statement_timeout
    asyncpg.InsufficientResourcesError,  # 53: disk or memory full, too many connections
    asyncpg.PostgresSystemError,  # 58: I/O error
    asyncpg.InvalidAuthorizationSpecificationError,  # 28: a rotated password; readiness tells
    asyncpg.InvalidCatalogNameError,
    asyncpg.InternalClientError,
    asyncpg.TargetServerAttributeNotMatched,
    TimeoutError,
    OSError,
    EOFError,
)


def translate(exc: BaseException, *, closed: bool = False) -> RetryLater | None:
    """What a driver's exception means to a room, or None if it is the room's own (a violation, a bug).

    `closed` says that the connection is gone: only then is the driver's InterfaceError about the store.
    """
    if isinstance(exc, asyncpg.LockNotAvailableError):
        return LockBusy("a row is locked", after=1.0)
    if isinstance(exc, asyncpg.DeadlockDetectedError | asyncpg.SerializationError):
        return RetryLater(f"{type(exc).__name__}: the transaction may be tried again")
    if isinstance(exc, asyncpg.ReadOnlySQLTransactionError):
        return StoreUnavailable("the database is read-only", after=1.0)
    if isinstance(exc, asyncpg.InvalidCachedStatementError | asyncpg.OutdatedSchemaCacheError):
        return RetryLater("the schema has changed under a prepared statement")
    if isinstance(exc, _GONE) or (
        isinstance(exc, asyncpg.InterfaceError) and not isinstance(exc, ValueError) and closed
    ):
        return StoreUnavailable(f"{type(exc).__name__}: {exc}"[:200], after=1.0)
    return None
