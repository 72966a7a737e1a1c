"""SQLite files that cannot be used: the messages, and that nothing is left open."""

# ruff: noqa: ASYNC240 # a test has its loop for itself

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from tests.limits import PATIENCE
from wix_asgi.errors import SettingsError, StorageUnavailable
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi.testing.storage_check.tasks import until
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.sqlite import SQLiteStorage

NOBODY = 65534


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the driver does."""
    return "asyncio"


@pytest.fixture(name="room")
def _room() -> Iterator[Path]:
    """Give a directory that every user may enter, which that of pytest is not."""
    room = Path(tempfile.mkdtemp(prefix="wix-asgi-"))
    yield room
    room.chmod(0o755)
    shutil.rmtree(room)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up the rights of root, and become another user."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


async def test_file_that_may_only_be_read(room: Path) -> None:
    """A file that this user may not write to is unavailable from the start, and left as it is."""
    path = room / "test.db"
    async with SQLiteStorage(path) as storage:
        await storage.put(record())
    path.chmod(0o444)
    room.chmod(0o555)
    before = path.read_bytes()
    with as_nobody(), pytest.raises(StorageUnavailable) as caught:
        await SQLiteStorage(path).open()

    assert isinstance(caught.value.__cause__, Exception)
    assert before == path.read_bytes()


async def test_directory_that_may_only_be_read(room: Path) -> None:
    """A file that cannot be made in its directory is unavailable."""
    room.chmod(0o555)
    with as_nobody(), pytest.raises(StorageUnavailable) as caught:
        await SQLiteStorage(room / "test.db").open()

    assert isinstance(caught.value.__cause__, PermissionError)
    assert [] == list(room.iterdir())


async def test_file_in_a_directory_that_may_only_be_read(room: Path) -> None:
    """A file beside which no log can be made is unavailable, with the reason, and left as it is."""
    path = room / "test.db"
    async with SQLiteStorage(path) as storage:
        await storage.put(record())
    path.chmod(0o666)
    room.chmod(0o555)
    before = path.read_bytes()
    with (
        as_nobody(),
        pytest.raises(StorageUnavailable, match=r"its directory \(SQLITE_READONLY_DIR"),
    ):
        await SQLiteStorage(path).open()
    left = [file.name for file in room.iterdir()]
    room.chmod(0o755)
    async with SQLiteStorage(path) as storage:
        assert await storage.get(APP, SITE) is not None

    assert ["test.db"] == left
    assert before == path.read_bytes()


async def test_no_log_no_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no write-ahead log can be had, opening says so, and leaves no connection behind."""
    made: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def in_memory(*_: object, **options: Any) -> sqlite3.Connection:
        made.append(connect(":memory:", **options))
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", in_memory)
    with pytest.raises(SettingsError, match="cannot have a write-ahead log here"):
        await SQLiteStorage(tmp_path / "test.db").open()
    (connection,) = made

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")


async def test_file_that_vanished(tmp_path: Path) -> None:
    """A file that was removed while the storage was closed is unavailable, not empty."""
    path = tmp_path / "test.db"
    storage = SQLiteStorage(path)
    async with storage:
        await storage.put(record())
    path.unlink()
    with pytest.raises(StorageUnavailable):
        await storage.get(APP, SITE)
    await storage.aclose()


async def test_file_that_vanishes_in_use(tmp_path: Path) -> None:
    """A file that is removed while it is used is unavailable: not empty, and not made anew."""
    path = tmp_path / "test.db"
    async with SQLiteStorage(path) as storage:
        await storage.put(record())
        path.unlink()
        with pytest.raises(StorageUnavailable, match="FileNotFoundError"):
            await storage.get(APP, SITE)
        with pytest.raises(StorageUnavailable, match="FileNotFoundError"):
            await storage.put(record())
        with pytest.raises(StorageUnavailable, match="FileNotFoundError"):
            await storage.claim_owner("name")

        assert not path.exists()


async def test_file_that_is_replaced_in_use(tmp_path: Path) -> None:
    """All connections to a replaced file see the new file."""
    path, backup = tmp_path / "test.db", tmp_path / "backup.db"
    async with SQLiteStorage(backup) as before:
        await before.put(record(version="of-the-backup"))
    async with SQLiteStorage(path) as storage:
        await storage.put(record())
        for file in tmp_path.glob("test.db*"):
            file.unlink()
        backup.rename(path)
        found = await storage.get(APP, SITE)

    assert found is not None
    assert "of-the-backup" == found.version


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE wix_installations DROP COLUMN lifetime",
        (
            "ALTER TABLE wix_installations RENAME TO old; "
            "CREATE TABLE wix_installations AS SELECT * FROM old"
        ),
    ],
    ids=["column", "primary key"],
)
async def test_tables_of_another_version(tmp_path: Path, change: str) -> None:
    """Tables that do not fit are told with the way to the right ones, and the file is named."""
    path = tmp_path / "test.db"
    async with SQLiteStorage(path) as storage:
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(change)
        with pytest.raises(StorageUnavailable, match=r"not those of this version: ") as caught:
            await storage.put(record())

    assert str(path) in str(caught.value)


async def test_lock_that_stays_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Operations that wait for a lock are told of in one line, which names the file."""
    path = tmp_path / "test.db"
    retry = Retry(total=0.5, first=0.01, quiet=0.0)
    async with SQLiteStorage(path) as storage:
        await storage.put(record())
    storage = SQLiteStorage(path, retry=retry, busy_seconds=0.01)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageUnavailable):
            await storage.put(record())
        connection.execute("ROLLBACK")
    await storage.aclose()
    (line,) = caplog.messages

    assert f"The SQLite storage {path} cannot be used: another process has kept its lock" in line


async def test_end_of_a_lock_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The operation that waited tells that the storage answers again, and later ones do not."""
    caplog.set_level(logging.INFO, "wix_asgi")
    path = tmp_path / "test.db"
    retry = Retry(total=PATIENCE, first=0.01, longest=0.01, quiet=0.0)

    async def is_told() -> bool:
        return bool(caplog.messages)

    async with SQLiteStorage(path, retry=retry, busy_seconds=0.01) as storage:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(storage.put, record())
                await until(is_told)
                connection.execute("ROLLBACK")
        await storage.get(APP, SITE)
    warning, info = caplog.records

    assert ("WARNING", "INFO") == (warning.levelname, info.levelname)
    assert re.fullmatch(
        rf"The SQLite storage {re.escape(str(path))} answers again after \d+ s\.",
        info.getMessage(),
    )


def failed(code: int, name: str) -> Exception:
    """Return an error of the driver as SQLAlchemy would hand it on."""
    error = sqlite3.OperationalError("test: a text of the driver's")
    error.sqlite_errorcode = code
    error.sqlite_errorname = name
    return DBAPIError("INSERT", None, error)


def ran_out() -> Exception:
    """Return the error of an operation whose time is up."""
    error = TimeoutError()
    error.__cause__ = asyncio.CancelledError()
    return error


REASONS = [
    (failed(sqlite3.SQLITE_BUSY, "SQLITE_BUSY"), "another process has kept its lock (SQLITE_BUSY)"),
    (failed(sqlite3.SQLITE_CANTOPEN, "SQLITE_CANTOPEN"), "none be made beside it (SQLITE_C"),
    (failed(sqlite3.SQLITE_CORRUPT, "SQLITE_CORRUPT"), "the file is damaged"),
    (failed(sqlite3.SQLITE_FULL, "SQLITE_FULL"), "the disk is full (SQLITE_FULL)"),
    (failed(sqlite3.SQLITE_IOERR | 19 << 8, "SQLITE_IOERR_SHMSIZE"), "the disk failed, or is full"),
    (failed(sqlite3.SQLITE_NOTADB, "SQLITE_NOTADB"), "no SQLite database (SQLITE_NOTADB)"),
    (failed(sqlite3.SQLITE_READONLY, "SQLITE_READONLY"), "this user may not write to the file"),
    (failed(sqlite3.SQLITE_MISMATCH, "SQLITE_MISMATCH"), "it failed (SQLITE_MISMATCH)"),
    (PermissionError(errno.EACCES, "?"), "this user may not use the file"),
    (FileNotFoundError(errno.ENOENT, "?"), "the file is missing (FileNotFoundError)"),
    (OSError(errno.ENOSPC, "?"), "the disk is full (OSError)"),
    (OSError(errno.EROFS, "?"), "the file system may only be read (OSError)"),
    (OSError(errno.EMFILE, "?"), "it failed (OSError)"),
    (ran_out(), "it took too long, and another process may have kept its lock (TimeoutError)"),
    (PoolTimeoutError(), "it took too long, and another process may have kept its lock"),
]


@pytest.mark.parametrize(("error", "reason"), REASONS, ids=[reason for _, reason in REASONS])
def test_reasons(error: Exception, reason: str) -> None:
    """A message gives the reason in plain words, without the text of the driver (R35)."""
    said = SQLiteStorage("test.db")._explain(error)

    assert said.startswith(f"The SQLite storage {Path('test.db').absolute()} cannot be used: ")
    assert reason in said
    assert "text of the driver" not in said
