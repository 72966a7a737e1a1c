"""Engines: one for each loop of this process, closed when the loop ends."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.backends.support import pool_of
from tests.limits import PATIENCE
from wix_asgi.errors import StorageUnavailable
from wix_asgi.storage import Storage
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi_backends import _engines
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends.postgres import PostgresStorage
from wix_asgi_backends.sqlite import SQLiteStorage


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the drivers do."""
    return "asyncio"


@pytest.fixture(name="sql", params=["sqlite", "postgres"])
def _sql(request: pytest.FixtureRequest, tmp_path: Path) -> SQLiteStorage | PostgresStorage:
    if request.param == "sqlite":
        return SQLiteStorage(tmp_path / "test.db")
    return PostgresStorage(parse_url(request.getfixturevalue("postgres_url")))


def test_nothing_is_opened_early(tmp_path: Path) -> None:
    """Making a storage neither connects nor needs a loop, so that it can be made before a fork."""
    SQLiteStorage.from_url(f"sqlite:///{tmp_path}/test.db")
    PostgresStorage.from_url("postgresql://nobody@nowhere.invalid/db")

    assert [] == list(tmp_path.iterdir())


async def test_one_engine_for_a_loop(sql: SQLiteStorage | PostgresStorage) -> None:
    """All tasks of a loop share an engine; closing drops it."""
    async with sql:
        first = await sql._engines.current()

        assert await sql._engines.current() is first
    async with sql:
        assert await sql._engines.current() is not first


async def test_opening_that_fails_leaves_nothing_open(
    sql: SQLiteStorage | PostgresStorage,
) -> None:
    """A storage whose block cannot be entered is closed at once: its block will not close it."""
    async with sql, (await sql._engines.current()).connect() as connection:
        await connection.execute(text("DROP TABLE wix_claims"))
        await connection.execute(text("CREATE TABLE wix_claims (another BIGINT)"))
    with pytest.raises(StorageUnavailable):
        async with sql:
            pass

    assert 0 == len(sql._engines._by_loop)


def test_trio_is_refused(sql: SQLiteStorage | PostgresStorage) -> None:
    """On trio the storage says that it needs asyncio, and closing it is no error."""
    with pytest.raises(StorageUnavailable, match="needs asyncio"):
        anyio.run(sql.open, backend="trio")
    anyio.run(sql.aclose, backend="trio")


def test_end_of_the_loop_closes(sql: SQLiteStorage | PostgresStorage) -> None:
    """A storage that nobody closes is closed with its loop, without a ResourceWarning."""

    async def use() -> AsyncEngine:
        await sql.open()
        await sql.put(record())
        return await sql._engines.current()

    engine = asyncio.run(use())
    gc.collect()

    assert 0 == pool_of(engine).checkedin()
    assert asyncio.run(sql.get(APP, SITE)) is not None


def test_loops_that_were_only_closed(tmp_path: Path) -> None:
    """The engine of a loop that was closed without an orderly end is forgotten."""
    storage = SQLiteStorage(tmp_path / "test.db")
    loop = asyncio.new_event_loop()
    loop.run_until_complete(storage._engines.current())
    loop.close()

    async def use() -> int:
        await storage._engines.current()
        return len(storage._engines._by_loop)

    assert 1 == asyncio.run(use())


async def test_closing_has_a_bound(
    sql: SQLiteStorage | PostgresStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that does not answer when it is left is not waited for without end."""
    engines = _engines.Engines(sql._make_engine, close_seconds=0.01)
    engine = await engines.current()
    closed: list[bool] = []
    dispose = type(engine).dispose

    async def hang(self: AsyncEngine, *, close: bool = True) -> None:
        closed.append(close)
        if close:
            await asyncio.Event().wait()
        await dispose(self)

    monkeypatch.setattr(type(engine), "dispose", hang)
    await engines.dispose()

    assert [True, False] == closed


async def test_fork_has_engines_of_its_own(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a fork the parent's engines are neither used nor closed."""
    sql = PostgresStorage(parse_url(postgres_url))
    inherited: list[_engines._ByLoop] = []
    monkeypatch.setattr(_engines, "_inherited", inherited)
    async with sql:
        parents = await sql._engines.current()
        parents_pid = os.getpid()
        with monkeypatch.context() as child:
            child.setattr("os.getpid", lambda: parents_pid + 1)
            await sql.aclose()
            childs = await sql._engines.current()
            await sql.aclose()
        async with parents.connect() as connection:
            await connection.exec_driver_sql("SELECT 1")
    (held,) = inherited[0].values()
    await held.guard.aclose()

    assert childs is not parents
    assert held.pooled.engine is parents


@pytest.mark.parametrize("is_running", [True, False])
async def test_fork_of_a_process_that_has_a_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_running: bool
) -> None:
    """The child is refused, and closes nothing; after the end of the parent's loop it is served."""
    sql = SQLiteStorage(tmp_path / "test.db")
    if is_running:
        await sql.open()
    else:
        await asyncio.to_thread(lambda: asyncio.run(sql.open()))
    pid = os.getpid()
    outcome = "stored"
    with monkeypatch.context() as child:
        child.setattr("os.getpid", lambda: pid + 1)
        if is_running:
            await sql.aclose()
        try:
            await sql.put(record())
            await sql.aclose()
        except StorageUnavailable as exc:
            outcome = str(exc)
    await sql.aclose()

    assert is_running == ("in use when its process was forked" in outcome)


FORK = """
import asyncio, os, sys
from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import Record
from wix_asgi.storage import open_storage

storage = open_storage(sys.argv[1])

def record(instance_id):
    return Record(app_id="app", instance_id=instance_id, version="v", refresh_token=b"r")

async def main():
    await storage.open()
    await storage.put(record("parent"))
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(storage.put(record("child")))
        except StorageUnavailable as exc:
            print(exc, flush=True)
        except BaseException as exc:
            print(exc, file=sys.stderr, flush=True)
        asyncio.run(storage.aclose())
        os._exit(0)
    os.waitpid(child, 0)
    await storage.put(record("parent again"))
    print([r.instance_id for r in await storage.scan("app")])

asyncio.run(main())
"""


def fork(url: str) -> list[str]:
    """Run a process that forks while it uses this storage; return the output of both."""
    # From 3.12 on Python warns of any fork beside threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)

    assert "" == done.stderr
    return done.stdout.splitlines()


def test_fork_on_postgres(postgres_url: str) -> None:
    """A process that forked and its child go on with the same storage."""
    assert ["['child', 'parent', 'parent again']"] == fork(postgres_url)


def test_fork_on_sqlite(tmp_path: Path) -> None:
    """The child of a process that uses a file gets an error, since its writes would be lost."""
    said, stored = fork(f"sqlite:///{tmp_path}/test.db")

    assert "in use when its process was forked" in said
    assert "['parent', 'parent again']" == stored


def test_is_a_storage(sql: Storage) -> None:
    """A type checker and the protocol agree that these are storages."""
    assert isinstance(sql, Storage)
