"""Statements that go to the driver of a pooled connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import pytest

from tests.backends.databases import Database
from tests.limits import PATIENCE
from wix_asgi.errors import StorageUnavailable
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi_backends._sql import SQLStorage
from wix_asgi_backends.sqlite import SQLiteStorage

ROUNDS = 200
"""Reads of one caller; many more than another caller waits for when all take turns."""


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the drivers do."""
    return "asyncio"


async def test_connections_are_given_in_turn(database: Database) -> None:
    """A caller that asks again and again keeps no connection from the others."""
    done: list[str] = []

    async def read(storage: SQLStorage, name: str, rounds: int) -> None:
        for _ in range(rounds):
            await storage.get(APP, SITE)
        done.append(name)

    async with database.make_storage() as storage:
        size = (await storage._engines.pooled()).turns._value
        async with anyio.create_task_group() as tasks:
            for number in range(size):
                tasks.start_soon(read, storage, f"busy {number}", ROUNDS)
            await anyio.lowlevel.checkpoint()
            for number in range(size):
                tasks.start_soon(read, storage, f"short {number}", 1)

    assert {f"short {number}" for number in range(size)} == set(done[:size])


async def test_driver_that_was_closed(tmp_path: Path) -> None:
    """A connection whose thread has ended fails one operation, and is replaced."""
    async with SQLiteStorage(tmp_path / "test.db") as storage:
        await storage.put(record())
        # Keeps the log, which the last connection takes away with it.
        beside = sqlite3.connect(tmp_path / "test.db")
        beside.execute("SELECT count(*) FROM wix_claims").fetchall()
        engine = await storage._engines.current()
        async with engine.connect() as connection:
            raw = await connection.get_raw_connection()
            driver = raw.driver_connection
            assert driver is not None
            await driver.close()
        with pytest.raises(StorageUnavailable):
            await storage.get(APP, SITE)

        found = await storage.get(APP, SITE)
        beside.close()

    assert found is not None


@pytest.mark.parametrize("step", ["put", "together"])
async def test_values_that_no_driver_takes(tmp_path: Path, step: str) -> None:
    """A text that is no Unicode is the caller's error, and locks nobody out."""
    broken = record(version="half a pair \ud800")
    async with SQLiteStorage(tmp_path / "test.db") as storage:
        await storage.put(record())
        steps: dict[str, Callable[[], Awaitable[object]]] = {
            "put": partial(storage.put, broken),
            "together": partial(
                storage.replace_and_release,
                broken,
                expected="version-1",
                name="name",
                owner="owner",
            ),
        }
        with pytest.raises(UnicodeEncodeError):
            await steps[step]()
        with anyio.fail_after(PATIENCE):
            await storage.put(record(version="version-2"))
        found = await storage.get(APP, SITE)

    assert found is not None
    assert "version-2" == found.version
