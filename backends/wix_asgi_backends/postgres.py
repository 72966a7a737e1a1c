"""`postgresql://…`: PostgreSQL and servers that speak its protocol, for any number of hosts."""

from __future__ import annotations

import logging
import re
import socket
import ssl
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Self

import asyncpg
from sqlalchemy import URL, Column, PoolProxiedConnection, Table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from wix_asgi_backends._compiled import Call, Outcome
from wix_asgi_backends._engines import ENGINE_OPTIONS
from wix_asgi_backends._event_statements import EventWrites
from wix_asgi_backends._postgres_columns import add_columns
from wix_asgi_backends._postgres_dialect import DRIVER
from wix_asgi_backends._postgres_statements import send
from wix_asgi_backends._postgres_url import Target, parse_url
from wix_asgi_backends._purging import Purging
from wix_asgi_backends._retry import Retry, causes, origin, sqlstate
from wix_asgi_backends._row_security import administrator_sql, check_access, create_table
from wix_asgi_backends._schema import complete_for_postgres, script
from wix_asgi_backends._sql import SQLStorage
from wix_asgi_backends._statements import Writes

__all__ = ["PostgresStorage"]

logger = logging.getLogger("wix_asgi")

complete_for_postgres()

# Seconds; older connections are replaced. Hosting services suspend a database that was idle for
# five minutes (Neon, "Scale to Zero"), and load balancers drop connections that were idle a little
# longer (AWS Network Load Balancer: 350 s).
_RECYCLE_SECONDS: Final = 300

_UNDEFINED_COLUMN = "42703"
_UNDEFINED_TABLE = "42P01"
_PROTOCOL_VIOLATION = "08P01"

# Serialization failure, deadlock, read-only after a failover, too many connections, a lock that was
# not got in time, and servers that stop, crash, start, or close idle sessions.
_PASSING: Final = {"40001", "40P01", "25006", "53300", "55P03", "57P01", "57P02", "57P03", "57P05"}
# unique_violation (in the catalogue), duplicate_table, duplicate_object, internal_error
# ("tuple concurrently updated").
_RACES: Final = {"23505", "42P07", "42710", "XX000"}

_LASTING_OS_ERRORS = (PermissionError, NotADirectoryError, ssl.SSLCertVerificationError)

_VERSION_HINT: Final = (
    "its tables are not those of this version{detail}: `wix-asgi storage sql` prints them"
)
_HINTS: Final = {
    "08P01": "a server or a pooler before it refuses the connection",
    "28000": "the server does not let this user in",
    "28P01": "the server refuses the user or the password",
    "3D000": "there is no such database",
    "3F000": "its search_path names no schema that exists and that this user may use",
    "42501": "the user may not do this: `wix-asgi storage sql` prints an administrator's SQL",
    "42703": _VERSION_HINT.format(detail=", a column is missing"),
    "42804": _VERSION_HINT.format(detail=", a column has another type"),
    "42883": _VERSION_HINT.format(detail=", a column has another type"),
    "42P10": _VERSION_HINT.format(detail=", a primary key is missing"),
    "55P03": "another session keeps a lock on its tables, such as a backup or an idle transaction",
}
# By class, for errors before the server has said anything; the first that fits.
_OTHER_HINTS: Final[dict[type[BaseException] | tuple[type[BaseException], ...], str]] = {
    socket.gaierror: "the name of its host cannot be resolved",
    ssl.SSLCertVerificationError: "its certificate is not accepted",
    ConnectionRefusedError: "nothing listens at this address",
    (TimeoutError, PoolTimeoutError): "it took too long",
}

# PgBouncer's word (`handle_client_startup`), which other poolers have copied. Its other errors have
# the same SQLSTATE, and most of them pass: "server login has been failing", "query_wait_timeout".
_REFUSED_PARAMETER: Final = re.compile(
    r"unsupported startup parameter(?: in options)?: ([A-Za-z_][A-Za-z0-9_.]{0,62})"
)


class PostgresStorage(SQLStorage):
    """Keeps installations in a Postgres database, on asyncio.

    It keeps a pool of up to ten connections in each process, each for up to five minutes. On a
    connection that leads to PostgreSQL itself, statements are prepared when they are repeated, so
    that they take one round trip. Behind a pooler they have no name, and there is no other state
    of a session, so that it works behind PgBouncer in transaction mode.
    """

    _writes: ClassVar[Writes] = Writes(insert, returning=True)
    _event_writes: ClassVar[EventWrites] = EventWrites(insert, returning=True)
    _driver_errors: ClassVar[tuple[type[Exception], ...]] = (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
        # That of a connection that cannot be made.
        AsyncAdapt_asyncpg_dbapi.Error,
    )

    def __init__(
        self, target: Target, *, retry: Retry | None = None, purging: Purging | None = None
    ) -> None:
        """Keep installations at `target`; `from_url` reads it from a URL."""
        super().__init__(retry=retry, purging=purging)
        self._target: Final = target

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the storage that `url` names.

        Raises:
            SettingsError: The URL cannot be understood. The message contains no password.
        """
        return cls(parse_url(url))

    def __repr__(self) -> str:
        return f"<PostgresStorage {self._target.name}>"

    def sql(self, role: str | None = None) -> str:
        """Return the statements for an administrator; the default is the user of the URL."""
        tables = script(self._make_engine().dialect)
        return administrator_sql(tables, role or self._target.arguments.get("user"))

    @property
    def _title(self) -> str:
        return f"The Postgres storage at {self._target.name}"

    def _make_engine(self) -> AsyncEngine:
        return create_async_engine(
            URL.create(DRIVER),
            connect_args=self._target.arguments,
            pool_size=self._target.pool_size,
            pool_recycle=_RECYCLE_SECONDS,
            **ENGINE_OPTIONS,
        )

    async def _send(self, connection: PoolProxiedConnection, calls: Sequence[Call]) -> Outcome:
        return await send(connection, calls, may_prepare=self._target.may_prepare)

    def _is_transient(self, error: Exception) -> bool:
        code = sqlstate(error)
        if _refused_parameter(error):
            return False
        if code is not None:
            return code in _PASSING or code.startswith("08")
        return any(_is_disconnect(cause) for cause in causes(error))

    def _is_race(self, error: Exception) -> bool:
        return sqlstate(error) in _RACES

    def _is_missing(self, error: Exception) -> bool:
        return sqlstate(error) == _UNDEFINED_TABLE

    def _lacks_column(self, error: Exception) -> bool:
        return sqlstate(error) == _UNDEFINED_COLUMN

    async def _add_columns(
        self, connection: AsyncConnection, columns: Sequence[Column[Any]]
    ) -> None:
        try:
            await add_columns(connection, columns, self._writes.claim, self._title)
        except self._border as exc:
            if self._is_transient(exc):
                # The driver's errors are unknown to the pool, which would keep a read-only server.
                await connection.invalidate()
            raise

    async def _make_table(self, connection: AsyncConnection, table: Table) -> None:
        try:
            await create_table(connection, table)
        except self._border as exc:
            if self._is_transient(exc):
                # The driver's errors are unknown to the pool, which would keep a read-only server.
                await connection.invalidate()
                raise
            if self._is_race(exc):
                raise
            # Most likely a server without row level security; if not, this fails as well.
            await super()._make_table(connection, table)

    async def _make_missing(self, connection: AsyncConnection, *, indexes: bool) -> list[str]:
        made = await super()._make_missing(connection, indexes=indexes)
        await self._check_access(connection)
        return made

    async def _check_access(self, connection: AsyncConnection) -> None:
        try:
            await check_access(connection, self._title)
        except DBAPIError as exc:
            if self._is_transient(exc):
                raise
            # A compatible server may lack a function or a view of the catalogue.
            logger.info(
                "%s does not tell who may use its tables (SQLSTATE %s)", self._title, sqlstate(exc)
            )

    def _explain(self, error: Exception) -> str:
        code = sqlstate(error)
        name = type(origin(error)).__name__
        kind = f"{name}, SQLSTATE {code}" if code else name
        return f"{self._title} cannot be used: {_hint(error)} ({kind})."


def _refused_parameter(error: Exception) -> str | None:
    """Return the name of the setting that a pooler does not let a session begin with, or None."""
    found = _REFUSED_PARAMETER.search(str(origin(error)))
    return found[1] if found and sqlstate(error) == _PROTOCOL_VIOLATION else None


def _hint(error: Exception) -> str:
    if parameter := _refused_parameter(error):
        return (
            f"a pooler before it refuses the startup parameter {parameter}, so take it out of the "
            "storage URL, or add it to PgBouncer's ignore_startup_parameters"
        )
    cause = origin(error)
    others = (hint for kind, hint in _OTHER_HINTS.items() if isinstance(cause, kind))
    by_class = next(others, "it cannot be reached, or failed")
    return _HINTS.get(sqlstate(error) or "", by_class)


def _is_disconnect(error: BaseException) -> bool:
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    if isinstance(error, socket.gaierror):
        return error.errno == socket.EAI_AGAIN
    if isinstance(error, OSError):
        return not isinstance(error, _LASTING_OS_ERRORS)
    if isinstance(error, asyncpg.InterfaceError):
        return "connection is closed" in str(error)
    return isinstance(error, asyncpg.InternalClientError)
