"""Purges of an inbox with many ended events: in batches, and with others in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
import pytest

from tests.backends.inboxes import add_ended
from tests.limits import PATIENCE
from wix_asgi.testing.storage_check.event_records import LONG, event, ids, take
from wix_asgi.testing.storage_check.records import APP
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
def _make(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> MakeStorage:
    """Give a function that makes storages over one store, with a policy of purging."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("sqlite") / "test.db"
        return lambda purging: SQLiteStorage(path, purging=purging)
    target = parse_url(request.getfixturevalue("postgres_url"))
    return lambda purging: PostgresStorage(target, purging=purging)


@asynccontextmanager
async def purging_half(
    make: MakeStorage, number: int = 25
) -> AsyncIterator[tuple[asyncio.Task[int], anyio.Event]]:
    """Give a purge that pauses after its first batch of ten, and the event that lets it go on."""
    paused, go_on = anyio.Event(), anyio.Event()

    async def pause(_seconds: float) -> None:
        paused.set()
        await go_on.wait()

    async with make(Purging(first=10, least=10, most=10, sleep=pause)) as storage:
        await add_ended(storage, number, expires_at=1)
        purge = asyncio.ensure_future(storage.purge_events())
        with anyio.fail_after(PATIENCE):
            await paused.wait()
        yield purge, go_on
        purge.cancel()
        await asyncio.wait([purge])


async def test_events_are_kept_and_taken_beside_a_purge(make: MakeStorage) -> None:
    """Between two batches events are kept, taken and ended, and events with a later end stay."""
    async with purging_half(make) as (purge, go_on), make(Purging()) as other:
        assert await other.add_event(event("new", alias="new"))
        assert ["new"] == await take(other, "owner")
        assert await other.finish_event(APP, "new", "owner", keep=LONG, outcomes="")
        go_on.set()

        assert 25 == await purge
        assert ["new"] == ids(await other.events(APP))


async def test_a_dead_letter_that_is_retried_beside_a_purge(make: MakeStorage) -> None:
    """A dead letter whose seconds are over may be retried until its batch, and then stays."""
    async with make(Purging()) as other:
        await add_ended(other, 1, expires_at=2, state="dead")
        async with purging_half(make) as (purge, go_on):
            assert await other.retry_event(APP, "dead1", outcomes="")
            go_on.set()

            assert 25 == await purge
        assert ["dead1"] == await take(other)


async def test_one_purge_at_a_time(make: MakeStorage) -> None:
    """Beside a purge another removes nothing, neither events nor claims: pauses are for others."""
    async with purging_half(make) as (purge, go_on), make(Purging()) as other:
        await other.claim("name", "owner", -1)
        beside = [await other.purge_events(), await other.purge()]
        go_on.set()

        assert [0, 0] == beside
        assert 25 == await purge
        assert [0, 1] == [await other.purge_events(), await other.purge()]


async def test_a_purge_that_is_cancelled(make: MakeStorage) -> None:
    """A purge that ends half-way leaves the rest to the next purge, at once."""
    async with purging_half(make) as (purge, _), make(Purging()) as other:
        purge.cancel()
        await asyncio.wait([purge])

        assert 15 == await other.purge_events()


async def test_a_purge_fits_its_time(make: MakeStorage) -> None:
    """A call ends after its seconds with a part, and the following calls remove the rest."""
    now = [0.0]

    async def pause(_seconds: float) -> None:
        now[0] += 1.0

    policy = Purging(seconds=3.0, first=10, least=10, most=10, sleep=pause, clock=lambda: now[0])
    async with make(policy) as storage:
        await add_ended(storage, 95, expires_at=1)
        calls = [await storage.purge_events() for _ in range(4)]

    assert [40, 40, 15, 0] == calls


async def test_memory_is_purged_in_parts() -> None:
    """A call on the storage in memory removes a part, and lets others in meanwhile."""
    now = [0.0]
    storage = MemoryStorage(clock=lambda: now[0])
    seen: list[int] = []
    for number in range(60_000):
        await storage.add_event(event(f"{number}", alias=f"{number}"))
    for number in range(60_000):
        await storage.drop_event(APP, f"{number}", keep=1)
    now[0] = 10.0

    async def watch() -> None:
        while left := len(storage._inboxes[APP].events):
            seen.append(left)
            await anyio.lowlevel.checkpoint()

    calls: list[int] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        while removed := await storage.purge_events():
            calls.append(removed)

    assert [50_000, 10_000] == calls
    assert len(seen) > 100
