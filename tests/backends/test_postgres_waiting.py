"""A Postgres that keeps its callers waiting, and the repr of a storage."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import asyncpg
import pytest

from tests.backends.support import connections_in_use, pool_of, try_for
from tests.daemons import connected
from tests.limits import PATIENCE
from wix_asgi.errors import StorageUnavailable
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi.testing.storage_check.tasks import until
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.postgres import PostgresStorage

CANARY = "test-canary-password"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the driver does."""
    return "asyncio"


@asynccontextmanager
async def locked_table(url: str) -> AsyncIterator[None]:
    """Hold the table of installations, as a migration does."""
    async with connected(url) as connection, connection.transaction():
        await connection.execute("LOCK TABLE wix_installations IN ACCESS EXCLUSIVE MODE")
        yield


async def test_locked_table(postgres_url: str) -> None:
    """Twenty callers on a table that stays locked are told in time, and all goes on after it."""
    refused: list[StorageUnavailable] = []

    async def read(storage: PostgresStorage) -> None:
        with pytest.raises(StorageUnavailable) as caught:
            await storage.get(APP, SITE)
        refused.append(caught.value)

    async with PostgresStorage(parse_url(postgres_url)) as storage:
        await storage.put(record())
        async with locked_table(postgres_url):
            try_for(storage, 0.3)
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(read, storage)
        try_for(storage, PATIENCE)

        assert 20 == len(refused)
        assert all(isinstance(error.__cause__, Exception) for error in refused)
        assert await storage.get(APP, SITE) is not None
        assert 0 == connections_in_use(storage)


async def test_lock_that_passes(postgres_url: str) -> None:
    """A write that finds the table locked for a moment is carried out when it is free."""
    written = anyio.Event()

    async def write(storage: PostgresStorage) -> None:
        await storage.put(record())
        written.set()

    async def is_waiting() -> bool:
        found = await watcher.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database()"
        )
        return bool(found)

    watcher = await asyncpg.connect(postgres_url)
    async with (
        PostgresStorage(parse_url(postgres_url)) as storage,
        anyio.create_task_group() as tasks,
    ):
        async with locked_table(postgres_url):
            tasks.start_soon(write, storage)
            await until(is_waiting)

            assert not written.is_set()
        with anyio.fail_after(PATIENCE):
            await written.wait()
    await watcher.close()


class Pauses:
    """Pauses between attempts, which are counted."""

    def __init__(self, last: float = math.inf) -> None:
        self._last = last
        self._count = 0
        self.two = anyio.Event()

    async def sleep(self, seconds: float) -> None:
        """Sleep for these seconds, but after the last pause for ever."""
        self._count += 1
        if self._count == 2:
            self.two.set()
        await (anyio.sleep(seconds) if self._count < self._last else anyio.sleep_forever())


async def test_statement_that_is_not_answered(postgres_url: str) -> None:
    """A statement is given up after its time and sent again while its caller waits."""
    pauses = Pauses()
    async with PostgresStorage(parse_url(postgres_url)) as storage:
        target = parse_url(postgres_url)
        target.arguments["command_timeout"] /= 20
        brief = PostgresStorage(target, retry=Retry(sleep=pauses.sleep))
        async with anyio.create_task_group() as tasks, locked_table(postgres_url):
            tasks.start_soon(brief.put, record())
            with anyio.fail_after(PATIENCE):
                await pauses.two.wait()
        await brief.aclose()

        assert await storage.get(APP, SITE) is not None


async def test_connection_that_is_not_made(tmp_path: Path) -> None:
    """A server that accepts and never answers is asked again before its caller gives up."""
    callers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_unix_server(
        lambda _, caller: callers.append(caller), tmp_path / ".s.PGSQL.5432"
    )
    pauses = Pauses(last=2)
    target = parse_url(f"postgres://u@/db?host={tmp_path}")
    target.arguments["timeout"] /= 20
    storage = PostgresStorage(target, retry=Retry(sleep=pauses.sleep))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(storage.open)
        with anyio.fail_after(PATIENCE):
            await pauses.two.wait()
        tasks.cancel_scope.cancel()
    for caller in callers:
        caller.close()
        await caller.wait_closed()
    silent.close()
    await storage.aclose()

    assert len(callers) >= 2


async def test_waiting_has_bounds(postgres_url: str) -> None:
    """By default nobody waits longer than ten seconds for a connection, or for all attempts."""
    async with PostgresStorage(parse_url(postgres_url)) as storage:
        pool = pool_of(await storage._engines.current())

        assert 10.0 == pool.timeout()
        assert 10.0 == storage._retry.total


@pytest.mark.parametrize("show", [str, repr, lambda storage: repr(vars(storage))])
def test_password_is_not_shown(show: Callable[[object], str]) -> None:
    """No way to look at a storage shows its password, nor do the objects it is made of (R35)."""
    storage = PostgresStorage.from_url(f"postgres://user:{CANARY}@host/db?sslmode=require")

    assert CANARY not in show(storage)
