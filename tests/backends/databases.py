"""Databases whose tables were made by another hand, before a storage is opened."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.daemons import connected, execute
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends._sql import SQLStorage
from wix_asgi_backends.postgres import PostgresStorage
from wix_asgi_backends.sqlite import SQLiteStorage

__all__ = ["CLAIMS_INDEX", "Database", "assert_works", "in_postgres", "in_sqlite", "user"]

CLAIMS_INDEX = "CREATE INDEX IF NOT EXISTS wix_claims_expires_at ON wix_claims (expires_at)"


@dataclass(frozen=True)
class Database:
    """A database of a test's own, without tables."""

    make_storage: Callable[[], SQLStorage]
    run: Callable[[str], Awaitable[None]]

    async def make(self, *changes: tuple[str, str]) -> None:
        """Make our tables, with these changes in the text of their statements."""
        statements = self.make_storage().sql()
        for old, new in changes:
            assert old in statements
            statements = statements.replace(old, new)
        await self.run(statements)


def in_sqlite(path: Path) -> Database:
    """Return the database in a new file, which its owner alone may open."""
    path.touch(0o600)

    async def run(statements: str) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(statements)

    return Database(partial(SQLiteStorage, path, retry=Retry(sleep=_never)), run)


def in_postgres(url: str) -> Database:
    """Return the database at this URL."""
    target = parse_url(url)
    return Database(
        partial(PostgresStorage, target, retry=Retry(sleep=_never)), partial(execute, url)
    )


async def _never(_seconds: float) -> None:
    raise AssertionError("nothing passes by trying it again")


async def assert_works(database: Database) -> None:
    """Assert that an installation is kept, and a name claimed once."""
    async with database.make_storage() as storage:
        await storage.put(record())

        assert await storage.get(APP, SITE) is not None
        assert await storage.claim("name", "one", 60)
        assert not await storage.claim("name", "another", 60)


@asynccontextmanager
async def user(url: str, *rights: str) -> AsyncIterator[str]:
    """Give the URL of a user with these rights alone, for as long as a block lasts."""
    async with connected(url) as connection:
        role = "wix_" + str(await connection.fetchval("SELECT current_database()"))[-16:]
        await connection.execute(f"CREATE ROLE {role} LOGIN")
        for right in rights:
            await connection.execute(right.format(role))
    try:
        yield f"{url}&user={role}"
    finally:
        await execute(url, f"DROP OWNED BY {role}", f"DROP ROLE {role}")
