"""Event loops in several threads, each of them short, on one storage."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wix_asgi.testing.storage_check.records import APP, record
from wix_asgi_backends.sqlite import SQLiteStorage

THREADS = 8
ROUNDS = 25


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
