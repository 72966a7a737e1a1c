"""The storage in an SQLite file: its mode, its log, its locks, and its error messages."""

# ruff: noqa: ASYNC221, ASYNC240 # a test has its loop for itself

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.backends.inboxes import sent
from wix_asgi.errors import SettingsError, StorageUnavailable
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi_backends import sqlite
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.sqlite import SQLiteStorage


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the driver does."""
    return "asyncio"


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


@pytest.fixture(name="nobodys_mask")
def _nobodys_mask() -> Iterator[None]:
    """Let everybody read new files, unless their mode forbids it."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """Return the permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("nobodys_mask")
async def test_files_are_their_owner_s(path: Path) -> None:
    """The database and the files beside it are for their owner alone, under any umask (R37)."""
    async with SQLiteStorage(path) as storage:
        await storage.put(record())
        found = {file.name: mode(file) for file in path.parent.iterdir()}

    assert {"test.db": 0o600, "test.db-wal": 0o600, "test.db-shm": 0o600} == found


@pytest.mark.usefixtures("nobodys_mask")
async def test_open_to_all_is_warned_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file others may read, and a directory they may write to, are warned of (R37)."""
    path.touch(0o644)
    path.parent.chmod(0o777)
    with caplog.at_level(logging.WARNING, "wix_asgi"):
        await SQLiteStorage(path).aclose()
        async with SQLiteStorage(path):
            pass

    assert [
        "replace the SQLite storage in its directory",
        "open the SQLite storage: chmod it to 0600",
    ] == [r.getMessage().partition(" may ")[2] for r in caplog.records]
    assert 0o644 == mode(path)


@pytest.mark.usefixtures("nobodys_mask")
@pytest.mark.parametrize("parent", [0o700, 0o755, 0o1777])
async def test_usual_directories_are_fine(
    path: Path, parent: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A directory where others cannot replace the file is not warned of (R37)."""
    path.parent.chmod(parent)
    with caplog.at_level(logging.WARNING, "wix_asgi"):
        async with SQLiteStorage(path):
            pass

    assert [] == caplog.records


WRITE = """
import sqlite3, sys
sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute("BEGIN IMMEDIATE")
"""


async def test_locks_outlive_another_opening(path: Path) -> None:
    """Opening a storage again leaves the locks alone that this process has on the file."""
    async with SQLiteStorage(path):
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("PRAGMA journal_mode = WAL")
            other.execute("BEGIN IMMEDIATE")
            async with SQLiteStorage(path):
                pass
            writer = subprocess.run(
                [sys.executable, "-c", WRITE, str(path)], stderr=subprocess.PIPE, check=False
            )

    assert b"database is locked" in writer.stderr


async def pragma(storage: SQLiteStorage, name: str) -> object:
    """Return the value of a pragma on a connection of the storage."""
    engine = await storage._engines.current()
    async with engine.connect() as connection:
        return (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()


async def test_settings_of_a_connection(path: Path) -> None:
    """Every connection writes ahead, waits for locks, and commits to the disk."""
    async with SQLiteStorage(path) as storage:
        found = [await pragma(storage, n) for n in ("journal_mode", "busy_timeout", "synchronous")]

    assert ["wal", 5000, 2] == found


def test_no_log_no_start() -> None:
    """If no write-ahead log is possible, the start stops and names the remedy."""
    with (
        closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(SettingsError, match=r"stays in 'memory' mode.*: put it on a local disk"),
    ):
        sqlite._prepare(connection)


async def test_locked_file_is_waited_for(path: Path) -> None:
    """A write that finds the file locked is carried out when it is free."""
    async with SQLiteStorage(path):
        pass
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waits: list[float] = []

    async def unlock(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            other.close()

    async with SQLiteStorage(path, retry=Retry(sleep=unlock), busy_seconds=0.0) as storage:
        await storage.put(record())

        assert await storage.get(APP, SITE) is not None
    assert 3 == len(waits)
    assert max(waits) <= 0.2


async def test_locked_for_good(path: Path) -> None:
    """A file that stays locked is unavailable, with the driver's error as the cause (R24)."""

    async def give_up(_seconds: float) -> None:
        # As it is when the time for all attempts runs out in a pause.
        raise TimeoutError

    async with SQLiteStorage(path, retry=Retry(sleep=give_up), busy_seconds=0.0) as storage:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageUnavailable, match=r"\(SQLITE_BUSY\)") as caught:
                await storage.put(record(refresh_token=b"test-canary-token"))

    assert "database is locked" in str(caught.value.__cause__)
    assert b"canary" not in repr(caught.value.__cause__).encode()


async def test_lost_answer_to_a_replacement(path: Path) -> None:
    """A replacement that was carried out, though its answer was lost, counts as done."""
    async with SQLiteStorage(path) as storage:
        await storage.put(record())

        def lose_answer(number: int) -> None:
            if number == 1:
                error = sqlite3.OperationalError("test: the answer is lost")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise error

        with sent(storage, lose_answer):
            assert await storage.replace(record(version="version-2"), expected="version-1")
        assert not await storage.replace(record(version="version-3"), expected="version-1")


async def test_missing_directory(tmp_path: Path) -> None:
    """A directory that is missing stops start-up, and is named."""
    with pytest.raises(SettingsError, match=f"make {tmp_path}/missing"):
        await SQLiteStorage(tmp_path / "missing" / "test.db").open()


async def test_directory_in_place_of_the_file(tmp_path: Path) -> None:
    """A directory in place of the file stops start-up, and is named."""
    with pytest.raises(SettingsError, match=f"{tmp_path} is a directory"):
        await SQLiteStorage(tmp_path).open()


async def test_file_that_cannot_be_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that refuses the file makes the storage unavailable."""

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(StorageUnavailable, match=r"\(PermissionError\)") as caught:
        await SQLiteStorage(path).open()

    assert isinstance(caught.value.__cause__, PermissionError)


async def test_file_of_another_user(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that this user may not change is unavailable."""
    monkeypatch.setattr("os.access", lambda *_: False)

    with pytest.raises(StorageUnavailable, match=r"\(PermissionError\)"):
        await SQLiteStorage(path).open()


async def test_file_of_something_else(path: Path) -> None:
    """A file that is no database is not overwritten, and not tried again."""
    path.write_bytes(b"this is a diary, not a database " * 100)
    with pytest.raises(StorageUnavailable, match=r"\(SQLITE_NOTADB\)"):
        await SQLiteStorage(path).open()

    assert path.read_bytes().startswith(b"this is a diary")


async def test_never_opened(path: Path) -> None:
    """A storage without its tables is unavailable, not empty."""
    path.touch(0o600)
    storage = SQLiteStorage(path)
    with pytest.raises(StorageUnavailable):
        await storage.get(APP, SITE)
    await storage.aclose()
