"""The contract: opening and closing, by many, again, and on any loop."""

from __future__ import annotations

import gc
from collections.abc import Callable

import anyio

from tests.storage.cases import Case, connections_in_use
from tests.storage.records import APP, SITE, record
from wix_asgi.storage import Storage


async def test_opened_again(storage: Storage) -> None:
    """Opening what is open changes nothing."""
    await storage.put(record())
    await storage.open()
    await storage.open()

    assert len(await storage.scan(APP)) == 1


async def test_opened_at_once(make: Callable[[], Storage]) -> None:
    """Eight storages open one empty place at the same moment."""
    storages = [make() for _ in range(8)]
    async with anyio.create_task_group() as tasks:
        for storage in storages:
            tasks.start_soon(storage.open)
    await storages[0].put(record())

    assert [len(await storage.scan(APP)) for storage in storages] == [1] * 8
    for storage in storages:
        await storage.aclose()


async def test_closed_and_opened(make: Callable[[], Storage]) -> None:
    """What was stored is there after closing, and a closed storage may be opened again."""
    storage = make()
    async with storage as entered:
        await storage.put(record())

        assert entered is storage
    async with storage:
        assert await storage.get(APP, SITE) is not None
    await storage.aclose()
    await storage.aclose()


async def test_seen_by_another(storage: Storage, make: Callable[[], Storage]) -> None:
    """What one storage wrote is what the next one reads."""
    await storage.put(record())
    await storage.claim("name", "owner", 60)
    async with make() as other:
        assert await other.get(APP, SITE) is not None
        assert not await other.claim("name", "other", 60)


def test_one_loop_after_the_other(make: Callable[[], Storage], case: Case) -> None:
    """A storage serves one event loop after another, closed in between or not."""
    storage = make()

    async def write() -> None:
        await storage.open()
        await storage.put(record())

    async def read() -> int:
        return len(await storage.scan(APP))

    anyio.run(write, backend=case.loop)
    # Connections of a loop that ended are closed with it: garbage has nothing to warn of.
    gc.collect()
    found = [anyio.run(read, backend=case.loop) for _ in range(2)]
    gc.collect()

    assert found == [1, 1]
    assert connections_in_use(storage) == 0
    anyio.run(storage.aclose, backend=case.loop)


async def test_cancelled(storage: Storage) -> None:
    """Callers who give up leave nothing behind, and the storage goes on."""
    await storage.put(record())
    for steps in range(12):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                for _ in range(8):
                    tasks.start_soon(storage.put, record())
                    tasks.start_soon(storage.get, APP, SITE)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

    assert await storage.get(APP, SITE) is not None
    assert connections_in_use(storage) == 0
