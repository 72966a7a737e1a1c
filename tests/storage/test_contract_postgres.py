"""The storage in Postgres keeps the contract, over several processes too."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from tests.storage.backends import connections_in_use as count
from wix_asgi.storage import Storage
from wix_asgi.testing.storage import *
from wix_asgi.testing.storage.processes import *
from wix_asgi.testing.storage.unreachable import *
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.postgres import PostgresStorage


@pytest.fixture(name="database", scope="module")
def _database(postgres_server: str) -> Iterator[str]:
    """Give the URL of a database for all cases; a new one for each would take most of the time."""
    name = f"wix_asgi_{secrets.token_hex(8)}"
    execute(postgres_server, f"CREATE DATABASE {name}")
    server, _, query = postgres_server.partition("?")
    yield f"{server.rpartition('/')[0]}/{name}?{query}"
    execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def make_storage(database: str) -> Iterator[Callable[[], Storage]]:
    """Give what makes storages over one database, which is left without tables."""
    yield partial(PostgresStorage.from_url, database)
    execute(database, "DROP TABLE IF EXISTS wix_installations, wix_claims")


def execute(url: str, statement: str) -> None:
    """Carry out a statement past the storage."""

    async def main() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(main())


@pytest.fixture
def unreachable_storage(tmp_path: Path) -> Storage:
    """Give a storage of a server that does not run."""
    target = parse_url(f"postgresql://nobody@/db?host={tmp_path}")
    return PostgresStorage(target, retry=Retry(total=0.1))


@pytest.fixture  # type: ignore[no-redef] # the kit has its users override its defaults so
def connections_in_use() -> Callable[[Storage], int]:
    """Count the connections of the pool."""
    return count
