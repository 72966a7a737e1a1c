"""The purge of used states: how often, one at a time, and at no install's cost."""

from __future__ import annotations

import anyio

from tests.handshake.flaky import FlakyStorage
from tests.handshake.handshaking import CLOSE_WINDOW
from tests.limits import PATIENCE
from tests.support import Browser, running
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.concurrency.purge import Purge
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
        self.begun = self.ended = 0
        self.go_on = anyio.Event()

    async def purge(self) -> int:
        self.begun += 1
        await self.go_on.wait()
        self.ended += 1
        return await super().purge()


async def test_purge_is_due_a_minute_after_the_last() -> None:
    """No purge starts beside another; the minute until the next begins with its end (R8)."""
    clock = Clock(1_000)
    storage, detached = SlowStorage(), DetachedTasks()
    purge = Purge(storage.purge, detached, clock=clock.now)
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


async def test_purges_go_on_until_no_claim_is_left() -> None:
    """While purges remove a thousand claims or more, the next one follows by itself (R56)."""
    pauses = []
    storage, detached = FullStorage([5000, 1000, 999, 0]), DetachedTasks()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    Purge(storage.purge, detached, sleep=sleep).start()
    await anyio.wait_all_tasks_blocked()

    assert [0] == storage.removes
    assert [2, 2] == pauses


async def test_endless_purge_holds_up_no_shutdown() -> None:
    """A shutdown does not wait until all claims are gone: the next start goes on (R56)."""
    storage, detached = FullStorage([5000] * 2), DetachedTasks()
    Purge(storage.purge, detached, sleep=lambda _: anyio.sleep_forever()).start()
    await anyio.wait_all_tasks_blocked()
    await detached.aclose(PATIENCE)

    assert [5000] == storage.removes


async def test_shutdown_cuts_no_purge_off() -> None:
    """A purge under way ends by itself before the storage is closed, and none follows it (R56)."""
    storage, detached = SlowStorage(), DetachedTasks()
    Purge(storage.purge, detached).start()
    await anyio.wait_all_tasks_blocked()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(detached.aclose, PATIENCE)
        await anyio.wait_all_tasks_blocked()
        storage.go_on.set()

    assert (1, 1) == (storage.begun, storage.ended)


async def test_purge_that_fails_is_tried_again() -> None:
    """A storage that is down, or a loop that ended meanwhile, does not end the purges (R8)."""
    clock = Clock(1_000)
    storage, detached = FlakyStorage(), DetachedTasks()
    storage.down = {"purge"}
    purge = Purge(storage.purge, detached, clock=clock.now)
    for seconds in (0, 60):
        clock.advance(seconds)
        purge.start()
        await anyio.wait_all_tasks_blocked()
    failed = storage.steps.count("purge")
    never = SlowStorage()
    lost = Purge(never.purge, detached, clock=clock.now)
    lost.start()
    await anyio.wait_all_tasks_blocked()
    clock.advance(600)
    lost.start()
    await anyio.wait_all_tasks_blocked()
    never.go_on.set()
    await detached.aclose(10)

    assert 2 == failed
    assert 2 == never.begun
