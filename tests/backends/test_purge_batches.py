"""Purges remove a bounded part at a time, and leave the store to others in between."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from tests.limits import PATIENCE
from wix_asgi.errors import StorageUnavailable
from wix_asgi.storage import Storage
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._purging import Purging
from wix_asgi_backends.memory import MemoryStorage
from wix_asgi_backends.postgres import PostgresStorage
from wix_asgi_backends.sqlite import SQLiteStorage

MakeStorage = Callable[[Purging], SQLiteStorage | PostgresStorage]


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the drivers do."""
    return "asyncio"


@pytest.fixture(name="make", params=["sqlite", "postgres"])
def _make(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStorage:
    """Give a function that makes storages over one store, with a policy of purging."""
    if request.param == "sqlite":
        return lambda purging: SQLiteStorage(tmp_path / "test.db", purging=purging)
    target = parse_url(request.getfixturevalue("postgres_url"))
    return lambda purging: PostgresStorage(target, purging=purging)


class Store:
    """A store with expired claims, in which a row takes some time to remove."""

    def __init__(self, claims: int, *, row_seconds: float) -> None:
        self.claims = claims
        self.row_seconds = row_seconds
        self.now = 0.0
        self.batches: list[int] = []
        self.pauses: list[float] = []

    def purging(self) -> Purging:
        """Return the policy of purging, in the time of this store."""
        return Purging(sleep=self.sleep, clock=lambda: self.now)

    async def remove(self, rows: int) -> int:
        """Remove up to so many claims."""
        self.batches.append(rows)
        removed = min(rows, self.claims)
        self.claims -= removed
        self.now += self.row_seconds * removed
        return removed

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.now += seconds


async def test_few_claims_are_one_batch() -> None:
    """A purge of few claims, which is the usual purge, is one statement without a pause (R56)."""
    store = Store(499, row_seconds=1e-5)

    assert 499 == await store.purging().run(store.remove)
    assert ([500], []) == (store.batches, store.pauses)


async def test_batches_fit_their_time() -> None:
    """Batches grow up to the time that others may be held up, and no further (R56)."""
    store = Store(1_000_000, row_seconds=1e-4)
    await store.purging().run(store.remove)

    assert [500, 625, 781, 976, 1000] == store.batches[:5]
    assert {1000} == set(store.batches[4:])


async def test_batches_shrink_on_a_slow_store() -> None:
    """A store that has become slow gets smaller batches, of a hundred rows at least (R56)."""
    store = Store(1_000_000, row_seconds=2.0)
    purging = store.purging()

    assert 500 == await purging.run(store.remove)
    assert 100 == purging._next(500, took=1000.0)
    assert 250 == purging._next(500, took=0.2)


async def test_batches_have_a_bound() -> None:
    """Rows of a batch are bounded where they cost no time at all."""
    store = Store(100_000, row_seconds=0.0)
    await store.purging().run(store.remove)

    assert 1000 == max(store.batches)


async def test_a_call_ends() -> None:
    """A call returns after some seconds with the number that it removed; calls remove all (R56)."""
    store = Store(100_000, row_seconds=1e-4)
    calls: list[int] = []
    while removed := await store.purging().run(store.remove):
        calls.append(removed)

    assert 100_000 == sum(calls)
    assert 3 < len(calls) < 10


async def test_others_are_let_in_between_batches() -> None:
    """A pause is longer than SQLite's waiting writers leave between two looks, 0.1 s (R56)."""
    store = Store(10_000, row_seconds=1e-4)
    await store.purging().run(store.remove)

    assert len(store.batches) - 1 == len(store.pauses)
    assert min(store.pauses) > 0.1


class Pauses:
    """Pauses that wait for the test."""

    def __init__(self) -> None:
        self.began = anyio.Event()
        self.over = anyio.Event()

    async def sleep(self, _seconds: float) -> None:
        """Wait until it is over."""
        self.began.set()
        await self.over.wait()

    def purging(self, rows: int = 10) -> Purging:
        """Return a policy with batches of so many rows."""
        return Purging(first=rows, least=rows, most=rows, sleep=self.sleep)


async def expire(storage: Storage, number: int) -> None:
    """Leave expired claims in a store."""
    for name in range(number):
        await storage.claim(f"name-{name:03}", "owner", 0)


async def test_others_claim_beside_a_purge(make: MakeStorage) -> None:
    """A claim, and a renewal of an expired claim, succeed between two batches and stay (R56)."""
    pauses = Pauses()
    removed: list[int] = []

    async def purge(storage: Storage) -> None:
        removed.append(await storage.purge())

    async with make(pauses.purging()) as purger, make(Purging()) as other:
        await expire(purger, 25)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(purge, purger)
            with anyio.fail_after(PATIENCE):
                await pauses.began.wait()
            claimed = await other.claim("another", "other", 60)
            renewed = await other.claim("name-024", "owner", 60)
            pauses.over.set()

        assert claimed
        assert renewed
        assert [24] == removed
        assert "other" == await other.claim_owner("another")
        assert "owner" == await other.claim_owner("name-024")


async def test_one_purge_at_a_time(make: MakeStorage) -> None:
    """Beside a purge another removes nothing: their batches would leave no pause (R56)."""
    pauses = Pauses()
    async with make(pauses.purging()) as purger, make(Purging()) as other:
        await expire(purger, 25)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(purger.purge)
            with anyio.fail_after(PATIENCE):
                await pauses.began.wait()
            beside = await other.purge()
            pauses.over.set()

        assert 0 == beside
        assert 0 == await other.purge()


async def test_a_purge_that_is_cancelled(make: MakeStorage) -> None:
    """A purge that ends half-way leaves the rest to the next purge, at once (R56)."""
    pauses = Pauses()
    async with make(pauses.purging()) as purger, make(Purging()) as other:
        await expire(purger, 25)
        purge = asyncio.ensure_future(purger.purge())
        with anyio.fail_after(PATIENCE):
            await pauses.began.wait()
        purge.cancel()
        await asyncio.wait([purge])

        assert 15 == await other.purge()


async def test_a_purge_that_fails(tmp_path: Path) -> None:
    """A store that fails half-way is told once, and the next purge waits until its time is up."""
    path = tmp_path / "test.db"

    async def lose(_seconds: float) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("ALTER TABLE wix_claims RENAME TO lost")

    async with SQLiteStorage(path, purging=Purging(first=10, sleep=lose)) as storage:
        await expire(storage, 25)
        with pytest.raises(StorageUnavailable):
            await storage.purge()
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("ALTER TABLE lost RENAME TO wix_claims")

        assert 0 == await storage.purge()


async def test_the_oldest_go_first(make: MakeStorage) -> None:
    """A batch has the claims that expired first, which an index finds (R56)."""
    pauses = Pauses()
    async with make(pauses.purging(1)) as storage:
        for name, seconds in ("b", -1.0), ("a", -3.0), ("c", -2.0):
            await storage.claim(name, "owner", seconds)
        purge = asyncio.ensure_future(storage.purge())
        with anyio.fail_after(PATIENCE):
            await pauses.began.wait()
        purge.cancel()
        await asyncio.wait([purge])
        engine = await storage._engines.current()
        async with engine.connect() as connection:
            found = await connection.exec_driver_sql("SELECT name FROM wix_claims ORDER BY name")
            left = [bytes(row.name) for row in found]

    assert [b"b", b"c"] == left


async def test_memory_is_purged_in_parts() -> None:
    """A call on the storage in memory removes a part, and lets others in meanwhile (R56)."""
    now = [0.0]
    storage = MemoryStorage(clock=lambda: now[0])
    seen: list[int] = []

    async def watch() -> None:
        while storage._claims:
            seen.append(len(storage._claims))
            await anyio.lowlevel.checkpoint()

    for number in range(60_000):
        await storage.claim(f"name-{number}", "owner", 1)
    now[0] = 10.0
    calls: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        while removed := await storage.purge():
            calls.append(removed)

    assert [50_000, 10_000] == calls
    assert len(seen) > 100


async def test_renewals_leave_nothing_in_memory() -> None:
    """A name that is renewed for ever takes no more memory with each renewal (R56)."""
    now = [0.0]
    storage = MemoryStorage(clock=lambda: now[0])
    for _ in range(20_000):
        now[0] += 0.7
        await storage.claim("name", "owner", 2)

    assert len(storage._ends) <= 1001
    assert 0 == await storage.purge()
    assert "owner" == await storage.claim_owner("name")
