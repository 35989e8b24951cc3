"""One transaction: its time limit, its connection, and the two ways in which it can fail."""

import asyncio
import contextlib
import time
from types import TracebackType
from typing import TYPE_CHECKING

import asyncpg
from asyncpg.transaction import Transaction as _PgTransaction

from sema_common.platform.cancelling import is_asked
from sema_common.platform.db.failures import Tx, translate
from sema_common.values.errors import OutcomeUnknown, StoreUnavailable

if TYPE_CHECKING:
    from sema_common.platform.db.database import Database


class Transaction:
    """`async with db.transaction() as tx`: committed when the block ends well, rolled back otherwise.

    Not to be reused. Inside, `tx.transaction()` is a savepoint.
    """

    __slots__ = ("_conn", "_db", "_pg", "_scope", "_started")

    def __init__(self, db: "Database", timeout: float) -> None:
        self._db = db
        self._scope = asyncio.timeout(timeout)
        self._conn: Tx
        self._pg: _PgTransaction

    async def __aenter__(self) -> Tx:
        self._started = time.perf_counter()
        await self._scope.__aenter__()
        try:
            self._conn, self._pg = await self._begin()
        except BaseException as exc:
            await self._leave_scope(exc)
            raise
        return self._conn

    async def _begin(self) -> tuple[Tx, _PgTransaction]:
        """A connection on which BEGIN worked.

        After a restart the pool holds dead connections; nothing has been done on them, so the first one is
        replaced without a word, and the rest expire with it. They expire too when BEGIN had no answer in all the time
        there was: half-open connections answer nothing, and without that each would cost somebody his whole patience.
        """
        for last in (False, True):
            conn = await self._db.acquire()
            pg = conn.transaction()
            try:
                await pg.start()
            except Exception as exc:
                if isinstance(exc, TimeoutError):
                    await self._db.expire()
                failure = await self._db.give_back(conn, exc)
                if failure is None or last:
                    raise failure or exc from exc
            except BaseException:
                throw_away(conn)
                if self._scope.expired():
                    await self._db.expire()
                await self._db.release(conn)
                raise
            else:
                return conn, pg
        raise AssertionError("unreachable")

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool:
        if exc is None:
            try:
                await self._commit()
            except BaseException as error:
                await self._leave_scope(error)
                raise
            await self._scope.__aexit__(None, None, None)
            return False
        conn = self._conn
        if isinstance(exc, Exception) and not is_gone(conn):
            try:
                async with asyncio.timeout(1.0):
                    await self._pg.rollback()
            except Exception:
                throw_away(conn)
        else:  # cancelled or timed out in mid-statement: the server rolls back what it loses
            throw_away(conn)
        failure = await self._db.give_back(conn, exc)
        await self._leave_scope(exc)
        if failure is not None:
            raise failure from exc
        return False

    async def _commit(self) -> None:
        conn = self._conn
        try:
            await self._pg.commit()
        except BaseException as exc:
            lost = isinstance(exc, asyncio.CancelledError) or isinstance(
                translate(exc, closed=is_gone(conn)), StoreUnavailable
            )
            if lost:
                throw_away(conn)
            failure = await self._db.give_back(conn, exc)
            if not lost:
                raise failure or exc from exc
            self._db.count("outcome_unknown")
            unknown = OutcomeUnknown("the answer to COMMIT was lost")
            if is_asked(exc) and not self._scope.expired():
                raise
            raise unknown from exc
        await self._db.release(conn)
        self._db.transactions.observe(time.perf_counter() - self._started)

    async def _leave_scope(self, exc: BaseException) -> None:
        """End the time limit; when it was the limit that cancelled us, say so."""
        try:
            await self._scope.__aexit__(type(exc), exc, exc.__traceback__)
        except TimeoutError:
            if isinstance(exc, asyncio.CancelledError):
                self._db.count("timeout")
                raise StoreUnavailable("the transaction took too long", after=1.0) from exc


def is_gone(conn: Tx) -> bool:
    """Whether the connection is closed; its proxy forgets it at that moment and then refuses to be asked."""
    try:
        return conn.is_closed()
    except asyncpg.InterfaceError:
        return True


def throw_away(conn: Tx) -> None:
    """Drop the socket; the server rolls back whatever was open on it."""
    with contextlib.suppress(asyncpg.InterfaceError):
        conn.terminate()
