"""`sqlite:///file.db`: installations in one file, for any number of processes on one host."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import aiosqlite  # noqa: F401 # if it is missing, that is reported before anything is opened
from sqlalchemy import URL, Column, PoolProxiedConnection, Table, event, text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from wix_asgi.errors import SettingsError
from wix_asgi_backends._compiled import Call, Outcome
from wix_asgi_backends._engines import ENGINE_OPTIONS
from wix_asgi_backends._event_statements import EventWrites
from wix_asgi_backends._mounts import MOUNTS
from wix_asgi_backends._purging import Purging
from wix_asgi_backends._retry import Retry, causes, origin
from wix_asgi_backends._schema import additions, script
from wix_asgi_backends._sql import SQLStorage
from wix_asgi_backends._sqlite_driver import send
from wix_asgi_backends._sqlite_file import (
    file_id,
    make_file,
    parse_url,
    this_user,
    warn_of_others,
)
from wix_asgi_backends._sqlite_log import LogRemoved, Logs
from wix_asgi_backends._statements import Writes

__all__ = ["SQLiteStorage"]

# Seconds that SQLite itself waits for a lock, which a commit holds for some milliseconds only. Half
# of `Retry.total`, so that a second attempt begins before the time of an operation is up. It is
# also the default of Python's sqlite3.
_BUSY_SECONDS: Final = 5.0

# Connections of each event loop. SQLite has one writer at a time, so that more connections would
# only wait in SQLite instead of in the pool; five let reads go on beside a write.
_POOL_SIZE: Final = 5

_FILE = "wix_asgi.file"
_PASSING: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL}

_HINTS: Final = {
    sqlite3.SQLITE_BUSY: "another process has kept its lock",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened, or none be made beside it",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: bring back a copy of it",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk failed, or is full",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database",
    sqlite3.SQLITE_READONLY: "this user may not write to the file, or to its directory",
}
# Texts of SQLite where a column or a primary key is missing: it has no code for these errors.
_OTHER_TABLES: Final = (
    "no such column",
    "has no column named",
    "ON CONFLICT clause does not match",
)

_OS_HINTS: Final = {
    errno.EACCES: "this user may not use the file, or make it in its directory",
    errno.ENOENT: "the file is missing",
    errno.ENOSPC: "the disk is full",
    errno.EROFS: "the file system may only be read",
}


class SQLiteStorage(SQLStorage):
    """Keeps installations in an SQLite file, on asyncio.

    It keeps a write-ahead log beside the file, so the file must not be on a network share.
    A commit is on the disk when it returns: losing one would lose a refresh token.

    Args:
        path: The file; it is created if it is missing.
        retry: How long a statement is repeated.
        purging: How many claims a purge removes at once.
        busy_seconds: Seconds that SQLite waits for a lock within one attempt (`busy_timeout`).
        mounts: The list of this machine's mounts, by which network shares are refused.
    """

    _survives_fork: ClassVar[bool] = False
    _writes: ClassVar[Writes] = Writes(insert, returning=False)
    _event_writes: ClassVar[EventWrites] = EventWrites(insert, returning=False)
    _driver_errors: ClassVar[tuple[type[Exception], ...]] = (sqlite3.Error,)

    def __init__(
        self,
        path: str | Path,
        *,
        retry: Retry | None = None,
        purging: Purging | None = None,
        busy_seconds: float = _BUSY_SECONDS,
        mounts: Path = MOUNTS,
    ) -> None:
        super().__init__(retry=retry, purging=purging)
        self._path: Final = Path(path).absolute()
        self._busy_seconds: Final = busy_seconds
        self._mounts: Final = mounts
        self._logs: Final = Logs(self._path)
        self._file: tuple[int, int] | None = None

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Return the storage that `url` names.

        Raises:
            SettingsError: The URL names no file, or has parameters.
        """
        return cls(parse_url(url))

    def __repr__(self) -> str:
        return f"<SQLiteStorage {self._path}>"

    async def _make_ready(self, *, indexes: bool) -> list[str]:
        """Make the file first, unless it exists."""
        try:
            make_file(self._path, self._mounts)
            warn_of_others(self._path, this_user())
        except OSError as exc:
            raise self._unavailable(exc) from exc
        return await super()._make_ready(indexes=indexes)

    async def aclose(self) -> None:
        """Close the connections, and allow a new log."""
        await super().aclose()
        self._logs.forget()

    def sql(self, role: str | None = None) -> str:
        """Return the statements that make the tables unless they exist; SQLite knows no roles."""
        del role
        return script(self._make_engine().dialect)

    @property
    def _title(self) -> str:
        return f"The SQLite storage {self._path}"

    def _make_engine(self) -> AsyncEngine:
        engine = create_async_engine(
            # mode=rw: a file that was removed is missing, and not replaced by an empty store.
            URL.create(
                "sqlite+aiosqlite",
                database=self._path.as_uri(),
                query={"mode": "rw", "uri": "true"},
            ),
            # The driver's timeout is SQLite's busy_timeout, in force before the first statement.
            connect_args={"timeout": self._busy_seconds},
            pool_size=_POOL_SIZE,
            **ENGINE_OPTIONS,
        )
        event.listen(engine.sync_engine, "do_connect", self._find_file)
        event.listen(engine.sync_engine, "connect", self._remember_file)
        event.listen(engine.sync_engine, "checkout", self._leave_removed_file)
        event.listen(engine.sync_engine, "close", self._logs.drop)
        return engine

    async def _make_table(self, connection: AsyncConnection, table: Table) -> None:
        # In one transaction, or another worker that opens the file meanwhile finds the table
        # without its indexes, and warns of that.
        try:
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
            await super()._make_table(connection, table)
            await connection.exec_driver_sql("COMMIT")
        except BaseException:
            # The end of the connection is that of the transaction, however far it got.
            await connection.invalidate()
            raise

    def _find_file(self, *_arguments: object) -> None:
        if file_id(self._path) is None:
            # Raised here because the driver would start a thread before it fails.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        self._logs.check_all()

    def _remember_file(self, connection: Any, record: ConnectionPoolEntry) -> None:
        self._file = record.info[_FILE] = file_id(self._path)
        connection.driver_connection.text_factory = _text
        _prepare(connection)
        self._logs.add(record)

    def _leave_removed_file(
        self, connection: Any, record: ConnectionPoolEntry, _proxy: object
    ) -> None:
        if record.info[_FILE] != file_id(self._path):
            raise DisconnectionError
        self._logs.check(connection, record)

    async def _send(self, connection: PoolProxiedConnection, calls: Sequence[Call]) -> Outcome:
        return await send(connection.driver_connection, calls)

    def _is_simple(self) -> bool:
        """Return whether the file and its log are those of the connection that was made last."""
        return self._logs.are_as_before and self._file == file_id(self._path)

    def _is_transient(self, error: Exception) -> bool:
        return any(_code(cause) & 0xFF in _PASSING for cause in causes(error))

    def _is_race(self, error: Exception) -> bool:
        return False

    def _is_missing(self, error: Exception) -> bool:
        return any("no such table" in str(cause) for cause in causes(error))

    def _lacks_column(self, error: Exception) -> bool:
        return any("no such column" in str(cause) for cause in causes(error))

    async def _add_columns(
        self, connection: AsyncConnection, columns: Sequence[Column[Any]]
    ) -> None:
        for statement in additions(columns, connection.dialect):
            try:
                await connection.execute(text(statement))
            except DBAPIError as exc:
                # Another worker was faster.
                if "duplicate column name" not in str(origin(exc)):
                    raise

    def _explain(self, error: Exception) -> str:
        cause = origin(error)
        code = getattr(cause, "sqlite_errorname", None) or type(cause).__name__
        return f"{self._title} cannot be used: {_hint(cause)} ({code})."


def _prepare(connection: Any) -> None:
    try:
        _use_log(connection)
    except BaseException:
        # SQLAlchemy 2.0 would leave the connection to the garbage collector.
        connection.close()
        raise


def _use_log(connection: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    (mode,) = cursor.fetchone()
    cursor.execute("PRAGMA synchronous = FULL")
    # After the first read the log exists until the last connection is closed.
    cursor.execute("PRAGMA schema_version")
    cursor.close()
    if mode != "wal":
        raise SettingsError(
            f"The SQLite storage cannot have a write-ahead log here (it stays in {mode!r} mode): "
            "put it on a local disk."
        )


def _text(stored: bytes) -> str | bytes:
    """Return a text of the file; bytes that are no UTF-8 as they are, instead of an error."""
    try:
        return stored.decode()
    except UnicodeDecodeError:
        return stored


def _hint(error: Exception) -> str:
    if isinstance(error, LogRemoved):
        return (
            "the log beside the file was removed while it was in use, "
            "so end all that use the file, and start them again"
        )
    if isinstance(error, TimeoutError | PoolTimeoutError):
        # All connections of the pool were in use, most likely by statements waiting for a lock.
        return "it took too long, and another process may have kept its lock"
    if any(word in str(error) for word in _OTHER_TABLES):
        return "its tables are not those of this version: `wix-asgi storage sql` prints them"
    system = error.errno if isinstance(error, OSError) else None
    return _HINTS.get(_code(error) & 0xFF) or _OS_HINTS.get(system or 0) or "it failed"


def _code(error: BaseException) -> int:
    code = getattr(error, "sqlite_errorcode", None)
    return code if isinstance(code, int) else 0
