"""The purge of used states: how often, one at a time, and at no install's cost."""

from __future__ import annotations

import anyio

from tests.handshake.handshaking import CLOSE_WINDOW, FlakyStorage
from tests.support import Browser, running
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.handshake._purge import Purge
from wix_asgi.testing import Clock, FakeWix
from wix_asgi_backends.memory import MemoryStorage


async def test_purge_may_fail() -> None:
    """An install succeeds while the purge of old states fails."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        storage.down = {"purge"}
        answer = await Browser(app).install(fake)

    assert answer.headers["Location"].startswith(CLOSE_WINDOW)


async def test_used_states_are_purged() -> None:
    """After an install the storage is asked to forget the states of long ago (R8)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        await Browser(app).install(fake)

    assert 1 == storage.steps.count("purge")


async def test_installs_purge_no_more_than_needed() -> None:
    """Five installs within a minute purge the storage once (R8)."""
    fake = FakeWix()
    storage = FlakyStorage()
    async with running(fake, storage=storage) as app:
        for _ in range(5):
            await Browser(app).install(fake)

    assert 1 == storage.steps.count("purge")


class SlowStorage(MemoryStorage):
    """A storage whose purges wait for the test."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = 0
        self.go_on = anyio.Event()

    async def purge(self) -> int:
        self.begun += 1
        await self.go_on.wait()
        return await super().purge()


async def test_purge_is_due_a_minute_after_the_last() -> None:
    """No purge starts beside another; the minute until the next begins with its end (R8)."""
    clock = Clock(1_000)
    storage, detached = SlowStorage(), DetachedTasks()
    purge = Purge(storage, detached, clock=clock.now)
    begun = []

    async def start_after(seconds: float) -> None:
        clock.advance(seconds)
        purge.start()
        await anyio.wait_all_tasks_blocked()
        begun.append(storage.begun)

    await start_after(0)
    await start_after(100)
    storage.go_on.set()
    await anyio.wait_all_tasks_blocked()
    await start_after(59)
    await start_after(1)
    await detached.aclose(10)

    assert [1, 1, 1, 2] == begun


class FullStorage(MemoryStorage):
    """A storage whose purges remove the numbers of claims that the test gives."""

    def __init__(self, removes: list[int]) -> None:
        super().__init__()
        self.removes = removes

    async def purge(self) -> int:
        return self.removes.pop(0)


async def test_purge_of_many_claims_is_followed_soon() -> None:
    """A purge that removed a thousand claims or more is followed in seconds, and no other (R56)."""
    clock = Clock(1_000)
    storage, detached = FullStorage([5000, 1000, 999, 0]), DetachedTasks()
    purge = Purge(storage, detached, clock=clock.now)
    left = []
    for seconds in (0, 1, 1, 2, 2, 57, 1):
        clock.advance(seconds)
        purge.start()
        await detached.aclose(10)
        left.append(len(storage.removes))

    assert [3, 3, 2, 1, 1, 1, 0] == left


async def test_purge_that_fails_is_tried_again() -> None:
    """A storage that is down, or a loop that ended meanwhile, does not end the purges (R8)."""
    clock = Clock(1_000)
    storage, detached = FlakyStorage(), DetachedTasks()
    storage.down = {"purge"}
    purge = Purge(storage, detached, clock=clock.now)
    for seconds in (0, 60):
        clock.advance(seconds)
        purge.start()
        await detached.aclose(10)
    failed = storage.steps.count("purge")
    lost, never = Purge(storage, detached, clock=clock.now), SlowStorage()
    lost._storage = never
    lost.start()
    await anyio.wait_all_tasks_blocked()
    clock.advance(600)
    lost.start()
    await anyio.wait_all_tasks_blocked()
    never.go_on.set()
    await detached.aclose(10)

    assert 2 == failed
    assert 2 == never.begun
