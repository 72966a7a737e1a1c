"""Empty stores of each kind, and the raw drivers beside our storages, on the same tables.

The raw stores do with the driver alone what the storage does: the same statements on the same
tables, a pool of as many connections, SQLite with a write-ahead log and a commit on the disk. They
use the drivers as their documentation does, so that SQLite's thread is asked three times in a read.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

import aiosqlite
import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.daemons import running
from tests.postgres_process import PostgresServer, database
from wix_asgi.storage import open_storage

__all__ = ["RawStore", "Row", "peer_engine", "raw_store", "servers"]

_SQLITE_CONNECTIONS: Final = 5
_POSTGRES_CONNECTIONS: Final = 10

_COLUMNS: Final = (
    "instance_id, app_id, version, refresh_token, access_token, lifetime, expires_at, failure, "
    "retry_at, installed_at, grant_type, origin_instance_id, owes_on_install, described_version"
)
_CONTENTS: Final = ", ".join(
    f"{name} = excluded.{name}" for name in _COLUMNS.split(", ") if not name.endswith("_id")
)
_SQLITE_NOW: Final = "CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
_POSTGRES_NOW: Final = "CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT)"


def peer_engine(url: str) -> AsyncEngine:
    """Return the engine of SQLAlchemy by which a peer keeps its tables at this URL of ours.

    SQLite is set up as carefully as ours: without the log and the patience, 32 installs at once
    find the file locked.
    """
    before, _, after = url.partition("://")
    if before != "sqlite":
        return create_async_engine(f"postgresql+asyncpg://{after}")
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    return create_async_engine(f"sqlite+aiosqlite://{after}", connect_args={"timeout": 60.0})


class Row(NamedTuple):
    """One installation, sealed."""

    instance_id: bytes
    app_id: bytes
    version: str
    refresh_token: bytes
    access_token: bytes
    lifetime: int
    expires_in: int


class _Texts:
    """The three statements in the words of one database."""

    def __init__(self, now: str, marks: list[str], cast: str) -> None:
        instance, app, version, refresh, access, lifetime, expires = marks[:7]
        self.get = (
            f"SELECT {_COLUMNS}, {now} FROM wix_installations "  # noqa: S608 - columns alone
            f"WHERE instance_id = {instance} AND app_id = {app}"
        )
        self.put = (
            f"INSERT INTO wix_installations ({_COLUMNS}) VALUES ({instance}, {app}, {version}, "  # noqa: S608
            f"{refresh}, {access}, {lifetime}, {now} + {expires}{cast}, NULL, {now}, {now}, "
            f"NULL, NULL, NULL, {version}) "
            f"ON CONFLICT (instance_id, app_id) DO UPDATE SET {_CONTENTS}"
        )
        self.claim = (
            f"INSERT INTO wix_claims (name, owner, expires_at) "  # noqa: S608
            f"VALUES ({marks[0]}, {marks[1]}, {now} + {marks[2]}{cast}) "
            "ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, "
            f"expires_at = excluded.expires_at WHERE wix_claims.expires_at <= {now} "
            "OR wix_claims.owner = excluded.owner"
        )


_SQLITE: Final = _Texts(_SQLITE_NOW, [f"?{n}" for n in range(1, 8)], "")
_POSTGRES: Final = _Texts(_POSTGRES_NOW, [f"${n}" for n in range(1, 8)], "::bigint")


class RawStore(Protocol):
    """What an install needs of a store."""

    async def get(self, app_id: bytes, instance_id: bytes) -> object:
        """Read one row."""

    async def put(self, row: Row) -> None:
        """Write one row over any before it."""

    async def claim(self, name: bytes, owner: str, milliseconds: int) -> bool:
        """Take a name; whether this owner has it now."""


class _RawSQLite:
    def __init__(self, connections: list[aiosqlite.Connection]) -> None:
        self._free: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        for connection in connections:
            self._free.put_nowait(connection)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiosqlite.Connection]:
        connection = await self._free.get()
        try:
            yield connection
        finally:
            self._free.put_nowait(connection)

    async def get(self, app_id: bytes, instance_id: bytes) -> object:
        async with (
            self._connection() as connection,
            connection.execute(_SQLITE.get, (instance_id, app_id)) as cursor,
        ):
            return await cursor.fetchone()

    async def put(self, row: Row) -> None:
        async with self._connection() as connection, connection.execute(_SQLITE.put, row):
            pass

    async def claim(self, name: bytes, owner: str, milliseconds: int) -> bool:
        values = (name, owner, milliseconds)
        async with (
            self._connection() as connection,
            connection.execute(_SQLITE.claim, values) as cursor,
        ):
            return cursor.rowcount == 1


class _RawPostgres:
    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def get(self, app_id: bytes, instance_id: bytes) -> object:
        return await self._pool.fetchrow(_POSTGRES.get, instance_id, app_id)

    async def put(self, row: Row) -> None:
        await self._pool.execute(_POSTGRES.put, *row)

    async def claim(self, name: bytes, owner: str, milliseconds: int) -> bool:
        status: str = await self._pool.execute(_POSTGRES.claim, name, owner, milliseconds)
        return status.endswith("1")


@contextmanager
def servers(*names: str) -> Iterator[dict[str, dict[str, str]]]:
    """Give the URLs of empty stores of both kinds, one for each name, while a block lasts.

    Postgres is a server of its own with the settings of durability that it has by default.
    """
    with ExitStack() as stack:
        server = stack.enter_context(running(PostgresServer(fsync="on", full_page_writes="on")))
        room = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        yield {
            "SQLite": {name: f"sqlite:///{room / secrets.token_hex(4)}.db" for name in names},
            "Postgres": {name: stack.enter_context(database(server.url)) for name in names},
        }


@asynccontextmanager
async def raw_store(url: str) -> AsyncIterator[RawStore]:
    """Open the raw store at this URL of ours, on tables that our storage makes first."""
    async with open_storage(url):
        pass
    async with AsyncExitStack() as stack:
        if url.startswith("sqlite"):
            opened = []
            for _ in range(_SQLITE_CONNECTIONS):
                path = url.removeprefix("sqlite:///")
                connection = aiosqlite.connect(path, isolation_level=None, timeout=5.0)
                await stack.enter_async_context(connection)
                await connection.execute("PRAGMA journal_mode = WAL")
                await connection.execute("PRAGMA synchronous = FULL")
                opened.append(connection)
            yield _RawSQLite(opened)
            return
        size = _POSTGRES_CONNECTIONS
        pool = await stack.enter_async_context(
            asyncpg.create_pool(url, min_size=size, max_size=size)
        )
        yield _RawPostgres(pool)
