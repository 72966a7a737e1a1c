"""Event loops in several threads, each of them short, on one storage."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy.pool import ConnectionPoolEntry

from wix_asgi.testing.storage_check.records import APP, record
from wix_asgi_backends._sqlite_log import Logs
from wix_asgi_backends.sqlite import SQLiteStorage

THREADS = 8
ROUNDS = 25
LOGS = 200
CONNECTIONS = 20


@pytest.fixture(name="hasty")
def _hasty() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_loops_that_come_and_go_at_once(tmp_path: Path) -> None:
    """Threads that run a loop for each call do not disturb one another."""
    storage = SQLiteStorage(tmp_path / "test.db")
    asyncio.run(storage.open())

    def work(thread: int) -> None:
        for number in range(ROUNDS):
            asyncio.run(storage.put(record(f"{thread}-{number}")))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))

    assert THREADS * ROUNDS == len(asyncio.run(storage.scan(APP, limit=1000)))


class Entry(ConnectionPoolEntry):
    """The entry of a connection in a pool."""


@pytest.mark.usefixtures("hasty")
def test_log_that_leaves_with_its_last_connection(tmp_path: Path) -> None:
    """A log that SQLite removes with the last connection to it was not removed while in use."""
    logs, path = Logs(tmp_path / "test.db"), tmp_path / "test.db-wal"

    def come_and_go() -> None:
        for _ in range(LOGS):
            path.touch()
            entries = [Entry() for _ in range(CONNECTIONS)]
            for entry in entries:
                logs.add(entry)
            for entry in entries:
                logs.drop(None, entry)
            path.unlink()

    with ThreadPoolExecutor(1) as pool:
        others = pool.submit(come_and_go)
        while not others.done():
            logs.check_all()
        others.result()

    assert not logs.are_as_before
