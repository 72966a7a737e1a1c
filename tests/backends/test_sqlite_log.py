"""The write-ahead log of an SQLite file that is removed while it is in use."""

# ruff: noqa: ASYNC240 # a test has its loop for itself

from __future__ import annotations

import asyncio
import gc
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy.pool import ConnectionPoolEntry

from wix_asgi.errors import StorageUnavailable
from wix_asgi.testing.storage_check.records import APP, SITE, put_all, record
from wix_asgi_backends._sqlite_log import LogRemoved, Logs
from wix_asgi_backends.sqlite import SQLiteStorage

SAID = r"the log beside the file was removed while it was in use, so end all that use "
LOGS = [["-wal"], ["-shm"], ["-wal", "-shm"]]


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the driver does."""
    return "asyncio"


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


def remove_log(path: Path, *ends: str) -> None:
    """Remove the files that SQLite keeps beside the database."""
    for end in ends or ("-wal", "-shm"):
        Path(f"{path}{end}").unlink()


WRITE = """
import asyncio, sys
from wix_asgi.testing.storage_check.records import record
from wix_asgi_backends.sqlite import SQLiteStorage

async def main():
    async with SQLiteStorage(sys.argv[1]) as storage:
        await storage.put(record("of another"))
        print("written", flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


@contextmanager
def another_writer(path: Path) -> Iterator[None]:
    """Have a record written by another process, which keeps the file open in the block."""
    command = [sys.executable, "-c", WRITE, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        try:
            assert writer.stdout
            assert "written\n" == writer.stdout.readline()
            yield
            writer.communicate()
        finally:
            writer.kill()


def names(path: Path) -> list[str]:
    """Return the instance ids in an intact file."""
    with closing(sqlite3.connect(path)) as connection:
        assert [("ok",)] == connection.execute("PRAGMA integrity_check").fetchall()
        found = connection.execute("SELECT instance_id FROM wix_installations ORDER BY 1")
        return [bytes(name).decode() for (name,) in found]


@pytest.mark.parametrize("ends", LOGS, ids="".join)
async def test_nothing_is_lost(path: Path, ends: list[str]) -> None:
    """The next process sees the content of the log, and later writes were refused."""
    # While another connection is open, SQLite itself saves nothing when a connection is closed.
    async with SQLiteStorage(path), SQLiteStorage(path) as storage:
        await put_all(storage, "one", "two")
        remove_log(path, *ends)
        with pytest.raises(StorageUnavailable, match=SAID):
            await storage.put(record("late"))
        with pytest.raises(StorageUnavailable, match=SAID):
            await storage.get(APP, "one")
        saved = path.with_name("saved.db")
        saved.write_bytes(path.read_bytes())

    assert ["one", "two"] == names(saved)
    assert ["one", "two"] == names(path)


async def test_no_second_log(path: Path) -> None:
    """No connection makes another log, however many are wanted at once."""
    async with SQLiteStorage(path) as storage:
        await storage.put(record())
        remove_log(path)
        told = await asyncio.gather(
            *(storage.put(record(f"site-{number}")) for number in range(20)),
            return_exceptions=True,
        )

        assert [StorageUnavailable] * 20 == [type(outcome) for outcome in told]
        assert ["test.db"] == [file.name for file in path.parent.iterdir()]
    assert [SITE] == names(path)


async def test_log_of_another(path: Path) -> None:
    """Where another process has made a log, nothing is written beneath it."""
    async with SQLiteStorage(path) as storage:
        await storage.put(record())
        remove_log(path)
        with another_writer(path):
            before = path.read_bytes()
            with pytest.raises(StorageUnavailable, match=SAID):
                await storage.put(record("late"))
            after = path.read_bytes()
            await storage.aclose()

    assert before == after
    assert ["of another"] == names(path)


async def test_opened_again(path: Path) -> None:
    """A storage that is closed and opened again goes on, with all that was written."""
    storage = SQLiteStorage(path)
    async with storage:
        await storage.put(record())
        remove_log(path)
        with pytest.raises(StorageUnavailable, match=SAID):
            await storage.put(record("late"))
    async with storage:
        await storage.put(record("again"))

        assert await storage.get(APP, SITE) is not None
        assert await storage.get(APP, "again") is not None


async def test_log_that_sqlite_removes(path: Path) -> None:
    """The end of the last connection, which removes the log, is no reason to refuse anything."""
    async with SQLiteStorage(path) as storage:
        await storage.put(record())
        async with (await storage._engines.current()).connect() as connection:
            await connection.invalidate()
        left = [file.name for file in path.parent.iterdir()]
        await storage.put(record("again"))

    assert ["test.db"] == left
    assert [SITE, "again"] == names(path)


def test_other_loops(path: Path) -> None:
    """A loop that begins anew is refused while another loop has a removed log open."""
    storage = SQLiteStorage(path)

    async def use() -> None:
        await storage.put(record("of another loop"))

    async def refused() -> None:
        with pytest.raises(StorageUnavailable, match=SAID):
            await use()
        await storage.aclose()

    async def main() -> None:
        async with storage:
            await storage.put(record())
            remove_log(path)
            for _ in range(2):
                await asyncio.to_thread(asyncio.run, refused())
        await asyncio.to_thread(asyncio.run, use())

    asyncio.run(main())

    assert [SITE, "of another loop"] == names(path)


class Entry(ConnectionPoolEntry):
    """The entry of a connection in a pool."""


def test_connection_that_nobody_closed(path: Path) -> None:
    """A connection that a loop left open does not block new ones after it was collected."""
    logs, entry = Logs(path), Entry()
    Path(f"{path}-wal").touch()
    logs.add(entry)
    remove_log(path, "-wal")
    with pytest.raises(LogRemoved):
        logs.check_all()
    del entry
    gc.collect()

    logs.check_all()


async def test_log_behind_a_link(path: Path) -> None:
    """The log is beside the file that a link leads to, and its removal is noticed as well."""
    path.parent.joinpath("room").mkdir()
    real = path.parent / "room" / "real.db"
    async with SQLiteStorage(real):
        path.symlink_to(real)
    async with SQLiteStorage(path) as storage:
        await storage.put(record())
        remove_log(real)
        with pytest.raises(StorageUnavailable, match=SAID):
            await storage.put(record("late"))

    assert [SITE] == names(real)
