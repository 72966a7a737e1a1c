"""Callers that are cancelled in the middle of an operation on an SQLite file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.limits import PATIENCE
from wix_asgi.testing.storage_check.event_records import event
from wix_asgi.testing.storage_check.records import APP
from wix_asgi_backends.sqlite import SQLiteStorage


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the driver does."""
    return "asyncio"


def is_locked(path: Path) -> bool:
    """Whether a connection holds the write lock for longer than any operation takes."""
    with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False


async def claim(storage: SQLiteStorage, step: int) -> None:
    """Claim a name."""
    await storage.claim(f"name-{step}", "owner", 60)


async def add_and_take(storage: SQLiteStorage, step: int) -> None:
    """Keep an event, and take the due ones."""
    await storage.add_event(event(f"{step}"))
    await storage.take_events(APP, f"owner-{step}", limit=100, lease=0)


@pytest.mark.parametrize("work", [claim, add_and_take])
async def test_work_that_is_given_up_locks_nobody_out(
    tmp_path: Path, work: Callable[[SQLiteStorage, int], Coroutine[None, None, None]]
) -> None:
    """Whenever a caller is cancelled, others can write at once, without our doing anything."""
    path = tmp_path / "test.db"
    locked: list[int] = []
    async with SQLiteStorage(path) as storage:
        await work(storage, 0)
        for step in range(1, 150):
            task = asyncio.ensure_future(work(storage, step))
            for _ in range(step % 30):
                # A pass of the loop during which the driver's thread goes on, too.
                await asyncio.to_thread(int)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            if is_locked(path):
                locked.append(step)
                break

    assert [] == locked
