"""The storage in memory: a clock of its own, threads, and a bound."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier

import anyio
import pytest

from tests.limits import PATIENCE
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi_backends.memory import MemoryStorage


class Clock:
    """Seconds since 1970, as the test says."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops."""
    loop: str = request.param
    return loop


async def test_clock_is_the_store_s_own() -> None:
    """Every time is told by the clock that was given."""
    clock = Clock()
    storage = MemoryStorage(clock=clock)
    await storage.put(record(retry_in=5.0))
    clock.now += 10
    stored = await storage.get(APP, SITE)

    assert stored is not None
    assert (290.0, -5.0) == (stored.expires_in, stored.retry_in)
    assert datetime.fromtimestamp(1_800_000_000, UTC) == stored.installed_at


async def test_claim_holds_for_its_seconds() -> None:
    """A name is held until its last second, and free from then on (R5)."""
    clock = Clock()
    storage = MemoryStorage(clock=clock)
    await storage.claim("name", "first", 600)
    clock.now += 599.9
    assert not await storage.claim("name", "second", 600)
    clock.now += 0.1
    assert await storage.claim("name", "second", 600)


async def test_claims_are_bounded() -> None:
    """A million claims that run out leave no more than about a thousand (R8)."""
    clock = Clock()
    storage = MemoryStorage(clock=clock)
    most = 0
    for number in range(20_000):
        clock.now += 1
        await storage.claim(f"name-{number}", "owner", 600)
        most = max(most, len(storage._claims))

    assert most <= 2 * 1000


async def test_claims_in_use_are_kept() -> None:
    """However many claims there are, those in use are not purged."""
    storage = MemoryStorage(clock=Clock())
    for number in range(2500):
        await storage.claim(f"name-{number}", "owner", 600)

    assert 2500 == len(storage._claims)
    assert not await storage.claim("name-0", "other", 600)


async def test_owner_without_a_name() -> None:
    """Releasing a name that nobody has is harmless for an owner whose name is empty, too."""
    storage = MemoryStorage()
    await storage.release("name", "")

    assert await storage.claim("name", "owner", 60)


async def test_repr_has_no_record() -> None:
    """The repr of a storage shows its size only."""
    storage = MemoryStorage.from_url("memory://")
    await storage.put(record())

    assert "<MemoryStorage of 1 installations>" == repr(storage)


@pytest.mark.parametrize("is_child", [False, True])
async def test_several_workers_are_warned_of(
    is_child: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A worker process is warned that no other process sees its records (R48)."""
    parent = object() if is_child else None
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: parent)
    async with MemoryStorage():
        pass

    assert is_child == ("belongs to one process" in caplog.text)


async def test_nothing_is_left_of_an_app_without_installations() -> None:
    """The memory in use is bounded by the installations, for any number of former apps."""
    storage = MemoryStorage()
    for number in range(100):
        await storage.put(record(app_id=f"app-{number}"))
        await storage.delete(f"app-{number}", SITE)

    assert 0 == len(storage._ids)


def in_threads(work: Callable[[int], object], number: int = 4) -> None:
    """Do `work` in this number of threads at once."""
    barrier = Barrier(number)

    def begin(thread: int) -> None:
        barrier.wait(PATIENCE)
        work(thread)

    with ThreadPoolExecutor(number) as pool:
        list(pool.map(begin, range(number)))


def test_event_loops_at_once() -> None:
    """Loops in several threads share a storage: each name goes to one loop, no id is lost (R4)."""
    storage = MemoryStorage()
    won: list[str] = []

    def work(thread: int) -> None:
        async def claim_all() -> None:
            for number in range(200):
                await storage.put(record(f"{number:03}-{thread}"))
                if await storage.claim(f"name-{number}", f"owner-{thread}", 60):
                    won.append(f"name-{number}")

        anyio.run(claim_all)

    in_threads(work)

    assert sorted({f"name-{number}" for number in range(200)}) == sorted(won)
    assert 100 == len(anyio.run(storage.scan, APP, backend="asyncio"))
    assert sorted(f"{n:03}-{t}" for n in range(200) for t in range(4)) == storage._ids[APP]
