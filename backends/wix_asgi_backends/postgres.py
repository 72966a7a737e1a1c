"""`postgresql://…`: PostgreSQL and servers that speak its protocol, for any number of hosts."""

from __future__ import annotations

import socket
import ssl
from typing import ClassVar, Final, Self

import asyncpg
from sqlalchemy import URL
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from wix_asgi_backends._engines import ENGINE_OPTIONS
from wix_asgi_backends._postgres_dialect import DRIVER
from wix_asgi_backends._postgres_url import Target, parse_url
from wix_asgi_backends._purging import Purging
from wix_asgi_backends._retry import Retry, causes, origin, sqlstate
from wix_asgi_backends._sql import SQLStorage
from wix_asgi_backends._statements import Writes

__all__ = ["PostgresStorage"]

# Seconds; older connections are replaced. Hosting services suspend a database that was idle for
# five minutes (Neon, "Scale to Zero"), and load balancers drop connections that were idle a little
# longer (AWS Network Load Balancer: 350 s).
_RECYCLE_SECONDS: Final = 300

_UNDEFINED_TABLE = "42P01"

# Serialization failure, deadlock, read-only after a failover, too many connections, and servers
# that stop, crash, start, or close idle sessions.
_PASSING: Final = {"40001", "40P01", "25006", "53300", "57P01", "57P02", "57P03", "57P05"}
# unique_violation (in the catalogue), duplicate_table, duplicate_object, internal_error
# ("tuple concurrently updated").
_RACES: Final = {"23505", "42P07", "42710", "XX000"}

_LASTING_OS_ERRORS = (PermissionError, NotADirectoryError, ssl.SSLCertVerificationError)

_HINTS: Final = {
    "28000": "the server does not let this user in",
    "28P01": "the server refuses the user or the password",
    "3D000": "there is no such database",
    "42501": "the user may not do this: backends/README.md has the tables for an administrator",
}


class PostgresStorage(SQLStorage):
    """Keeps installations in a Postgres database, on asyncio.

    It keeps a pool of up to ten connections in each process, and works behind PgBouncer in
    transaction mode: it uses no session state and no named prepared statement.
    """

    _writes: ClassVar[Writes] = Writes(insert)
    _driver_errors: ClassVar[tuple[type[Exception], ...]] = (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,
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

    def _make_engine(self) -> AsyncEngine:
        return create_async_engine(
            URL.create(DRIVER),
            connect_args=self._target.arguments,
            pool_size=self._target.pool_size,
            pool_recycle=_RECYCLE_SECONDS,
            **ENGINE_OPTIONS,
        )

    def _is_transient(self, error: Exception) -> bool:
        code = sqlstate(error)
        if code is not None:
            return code in _PASSING or code.startswith("08")
        return any(_is_disconnect(cause) for cause in causes(error))

    def _is_race(self, error: Exception) -> bool:
        return sqlstate(error) in _RACES

    def _is_missing(self, error: Exception) -> bool:
        return sqlstate(error) == _UNDEFINED_TABLE

    def _explain(self, error: Exception) -> str:
        code = sqlstate(error)
        name = type(origin(error)).__name__
        kind = f"{name}, SQLSTATE {code}" if code else name
        hint = _HINTS.get(code or "", "it cannot be reached, or failed")
        return f"The Postgres storage cannot be used: {hint} ({kind})."


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
