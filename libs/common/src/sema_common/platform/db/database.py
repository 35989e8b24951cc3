"""The pool: every wait bounded, dead connections replaced, failures named."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, LiteralString

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from prometheus_client import Counter, Gauge, Histogram
from pydantic_core import from_json, to_json

from sema_common.platform.db.failures import Row, Tx, translate
from sema_common.platform.db.transaction import Transaction, is_gone, throw_away
from sema_common.platform.logs import get_logger
from sema_common.values.errors import LockBusy, Overloaded, RetryLater, StoreUnavailable

log = get_logger()

ACQUIRE_SECONDS: Final = 3.0
"""Longest wait for a free connection: beyond it a quick 503 is kinder than a queue."""

CONNECT_SECONDS: Final = 3.0
COMMAND_SECONDS: Final = 5.0
"""Longest single statement and, by default, longest transaction: a frozen server costs a request no more."""

CLOSE_SECONDS: Final = 5.0
KEEPALIVE: Final = {"tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3"}
"""The server's side of noticing a dead client: its locks are freed after a minute, not after two hours."""

MAX_CONNECTION_QUERIES: Final = 200_000
"""Bounds a connection's age by its use: after a failover or a change of plans no session lives for ever."""

_YEAR_2000: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_ACQUIRE = Histogram("sema_db_acquire_seconds", "Wait for a connection", ["pool"])
_TRANSACTION = Histogram("sema_db_transaction_seconds", "BEGIN to the answer to COMMIT", ["pool"])
_ERRORS = Counter("sema_db_errors_total", "Failures of the store as rooms saw them", ["pool", "kind"])
_SIZE = Gauge("sema_db_pool_connections", "Open connections", ["pool"])
_IN_USE = Gauge("sema_db_pool_in_use", "Connections at work", ["pool"])

SQL_IN_RECOVERY: Final[LiteralString] = (
    "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean"
)
SQL_SCHEMA_REVISION: Final[LiteralString] = "SELECT version_num FROM public.alembic_version"


class Database:
    """A pool of connections to one database under one role."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", name: str) -> None:
        self._pool = pool
        self.name = name
        self.transactions = _TRANSACTION.labels(name)
        self._acquires = _ACQUIRE.labels(name)
        _SIZE.labels(name).set_function(pool.get_size)
        _IN_USE.labels(name).set_function(lambda: pool.get_size() - pool.get_idle_size())

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        dsn: str,
        *,
        name: str = "main",
        min_size: int = 1,
        max_size: int = 10,
        session_state: bool = False,
    ) -> "AsyncIterator[Database]":
        """Connect; StoreUnavailable if nobody answers (the runtime then tries again later).

        `session_state=True` pays a round trip per release to reset the session; without it nothing may be
        set that outlives a transaction (`SET LOCAL` is fine, `SET`, `LISTEN` and session locks are not).
        """
        pool = asyncpg.create_pool(
            dsn,
            min_size=min_size,
            max_size=max_size,
            max_queries=MAX_CONNECTION_QUERIES,
            timeout=CONNECT_SECONDS,
            command_timeout=COMMAND_SECONDS,
            init=_prepare_session,
            reset=None if session_state else _keep_session,
            target_session_attrs=SessionAttribute.read_write,
            server_settings={"application_name": f"sema-{name}", **KEEPALIVE},
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS + 1):
                await pool
        except Exception as exc:
            pool.terminate()
            raise translate(exc, closed=True) or exc from exc
        db = cls(pool, name)
        try:
            yield db
        finally:
            try:
                async with asyncio.timeout(CLOSE_SECONDS):
                    await pool.close()
            except Exception:
                log.warning("db_pool_terminated", pool=name)
                pool.terminate()

    def transaction(self, timeout: float = COMMAND_SECONDS) -> AbstractAsyncContextManager[Tx]:
        """A transaction that, with the wait for its connection, takes at most `timeout` seconds."""
        return Transaction(self, timeout)

    async def fetch(self, sql: LiteralString, *args: Any, timeout: float = COMMAND_SECONDS) -> list[Row]:
        """All rows of one statement. Reads only: over a lost connection it is run again."""
        rows: list[Row] = await self._alone("fetch", sql, args, timeout)
        return rows

    async def fetchrow(self, sql: LiteralString, *args: Any, timeout: float = COMMAND_SECONDS) -> Row | None:
        """The first row or None; reads only, like `fetch`."""
        row: Row | None = await self._alone("fetchrow", sql, args, timeout)
        return row

    async def fetchval(self, sql: LiteralString, *args: Any, timeout: float = COMMAND_SECONDS) -> Any:
        """The first column of the first row or None; reads only, like `fetch`."""
        return await self._alone("fetchval", sql, args, timeout)

    async def execute(self, sql: LiteralString, *args: Any, timeout: float = COMMAND_SECONDS) -> str:
        """One statement that is its own transaction, for a single round trip; its tag, such as "UPDATE 3".

        For statements that may happen twice: over a lost connection it is run again.
        """
        tag: str = await self._alone("execute", sql, args, timeout)
        return tag

    async def check_writable(self) -> None:
        """StoreUnavailable unless this pool reaches a primary that takes writes."""
        if await self.fetchval(SQL_IN_RECOVERY, timeout=1.0):
            await self.expire()
            raise StoreUnavailable("the database is read-only")

    async def check_schema(self, revision: str) -> None:
        """StoreUnavailable unless the migrations have come to `revision` (such as `0007`) or further."""
        found = await self.fetchval(SQL_SCHEMA_REVISION, timeout=1.0)
        if found is None or found[:4] < revision[:4]:
            raise StoreUnavailable(f"the schema is at revision {found}, {revision} is needed")

    async def _alone(self, method: str, sql: str, args: Iterable[Any], timeout: float) -> Any:
        try:
            async with asyncio.timeout(timeout):
                for last in (False, True):
                    conn = await self.acquire()
                    try:
                        result = await getattr(conn, method)(sql, *args)
                    except Exception as exc:
                        failure = await self.give_back(conn, exc)
                        if last or not isinstance(failure, StoreUnavailable) or isinstance(exc, TimeoutError):
                            raise failure or exc from exc
                    except BaseException:
                        throw_away(conn)
                        await self.release(conn)
                        raise
                    else:
                        await self.release(conn)
                        return result
        except TimeoutError as exc:
            self.count("timeout")
            raise StoreUnavailable("the query took too long", after=1.0) from exc
        raise AssertionError("unreachable")

    async def acquire(self) -> Tx:
        """A connection for `Transaction`: rooms use `transaction()`."""
        started = time.perf_counter()
        try:
            conn: Tx = await self._pool.acquire(timeout=ACQUIRE_SECONDS)
        except Exception as exc:
            busy = self._pool.get_size() >= self._pool.get_max_size() and not self._pool.get_idle_size()
            if isinstance(exc, TimeoutError) and busy:
                self.count("pool_exhausted")
                raise Overloaded("all database connections are in use", after=1.0) from exc
            self.count("connect")
            raise translate(exc, closed=True) or exc from exc
        self._acquires.observe(time.perf_counter() - started)
        return conn

    async def release(self, conn: Tx) -> None:
        """Return a connection; one that cannot be reset in time is thrown away."""
        try:
            await self._pool.release(conn, timeout=1.0)
        except Exception:
            throw_away(conn)

    async def give_back(self, conn: Tx, exc: BaseException) -> RetryLater | None:
        """Return a connection after a failure; what the failure means, if it is not the room's own.

        When the store went away, every pooled connection is suspect: all are replaced before their next use.
        """
        failure = translate(exc, closed=is_gone(conn))
        if isinstance(failure, StoreUnavailable) and not isinstance(failure, LockBusy):
            throw_away(conn)
            if not isinstance(exc, asyncpg.QueryCanceledError | TimeoutError):
                await self.expire()
        if failure is not None:
            self.count(type(exc).__name__)
        await self.release(conn)
        return failure

    async def expire(self) -> None:
        """Replace every pooled connection before its next use."""
        await self._pool.expire_connections()

    def count(self, kind: str) -> None:
        _ERRORS.labels(self.name, kind).inc()


async def _prepare_session(conn: Any) -> None:
    for name in ("jsonb", "json"):
        await conn.set_type_codec(
            name, schema="pg_catalog", encoder=_encode_json, decoder=from_json, format="text"
        )
    # The library's own take three times and twice as long: 1.2 and 0.9 µs a value, five of them in an accepted message.
    await conn.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=Decimal, format="text")
    await conn.set_type_codec(
        "timestamptz", schema="pg_catalog", encoder=_encode_time, decoder=_decode_time, format="tuple"
    )


def _encode_time(moment: datetime) -> tuple[int]:
    """Microseconds since 2000, as Postgres keeps them; a time without a zone is an error, not local time."""
    return ((moment - _YEAR_2000) // _MICROSECOND,)


def _decode_time(microseconds: tuple[int]) -> datetime:
    return _YEAR_2000 + timedelta(0, 0, microseconds[0])


def _encode_json(value: Any) -> str:
    return to_json(value).decode()


async def _keep_session(_: Any) -> None:
    """A release without a round trip: sessions of this pool carry no state."""
