"""Opening and closing: concurrently, repeatedly, on any event loop, and with cancelled callers."""

from __future__ import annotations

import gc
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import anyio
import pytest

from wix_asgi.storage import Storage
from wix_asgi.testing.storage._loops import Loop, run
from wix_asgi.testing.storage_check.records import APP, SITE, put_all, record
from wix_asgi.testing.storage_check.tasks import together

__all__ = [
    "test_cancelled",
    "test_closed_after_an_error",
    "test_closed_and_opened",
    "test_closed_by_one",
    "test_closed_twice",
    "test_is_a_storage",
    "test_loops_at_once",
    "test_many_at_once",
    "test_never_opened_and_closed",
    "test_one_loop_after_the_other",
    "test_opened_again",
    "test_opened_at_once",
    "test_opened_by_tasks_at_once",
    "test_seen_by_another",
]

MakeStorage = Callable[[], Storage]
CountConnections = Callable[[Storage], int]

_METHODS: Final[dict[str, Callable[[Storage], Coroutine[Any, Any, object]]]] = {
    "open": lambda storage: storage.open(),
    "get": lambda storage: storage.get(APP, SITE),
    "put": lambda storage: storage.put(record()),
    "replace": lambda storage: storage.replace(record(), expected="version-1"),
    "delete": lambda storage: storage.delete(APP, "another"),
    "delete before": lambda storage: storage.delete(
        APP, SITE, installed_before=datetime(2001, 1, 1, tzinfo=UTC)
    ),
    "scan": lambda storage: storage.scan(APP),
    "claim": lambda storage: storage.claim("name", "owner", 60),
    "release": lambda storage: storage.release("name", "owner"),
    "purge": lambda storage: storage.purge(),
}


@pytest.mark.anyio
async def test_is_a_storage(storage: Storage) -> None:
    """A backend has all methods of the protocol."""
    assert isinstance(storage, Storage)


@pytest.mark.anyio
async def test_opened_again(storage: Storage) -> None:
    """Opening an open storage changes nothing."""
    await storage.put(record())
    await storage.claim("name", "owner", 60)
    await storage.open()
    await storage.open()

    assert 1 == len(await storage.scan(APP))
    assert not await storage.claim("name", "other", 60)


@pytest.mark.anyio
async def test_opened_at_once(make_storage: MakeStorage) -> None:
    """Eight storages open one empty store at the same moment."""
    storages = [make_storage() for _ in range(8)]
    await together(*[storage.open for storage in storages])
    await storages[0].put(record())

    assert [1] * 8 == [len(await storage.scan(APP)) for storage in storages]
    for storage in storages:
        await storage.aclose()


@pytest.mark.anyio
async def test_opened_by_tasks_at_once(make_storage: MakeStorage) -> None:
    """Eight tasks open one storage at the same moment."""
    storage = make_storage()
    await together(*[storage.open] * 8)
    await storage.put(record())

    assert 1 == len(await storage.scan(APP))
    await storage.aclose()


@pytest.mark.anyio
async def test_closed_and_opened(make_storage: MakeStorage) -> None:
    """Records and claims outlive closing, and a closed storage may be opened again."""
    storage = make_storage()
    async with storage as entered:
        await storage.put(record())
        await storage.claim("name", "owner", 60)

        assert entered is storage
    async with storage:
        assert await storage.get(APP, SITE) is not None
        assert not await storage.claim("name", "other", 60)


@pytest.mark.anyio
async def test_closed_twice(make_storage: MakeStorage) -> None:
    """Closing a closed storage is no error."""
    async with make_storage() as storage:
        await storage.aclose()
    await storage.aclose()


@pytest.mark.anyio
async def test_never_opened_and_closed(make_storage: MakeStorage) -> None:
    """Closing a storage that was never opened is no error."""
    await make_storage().aclose()


@pytest.mark.anyio
async def test_closed_after_an_error(
    make_storage: MakeStorage, connections_in_use: CountConnections
) -> None:
    """An error inside `async with` closes the storage, and reaches the caller."""
    storage = make_storage()

    async def fail() -> None:
        async with storage:
            await storage.put(record())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert 0 == connections_in_use(storage)
    async with storage:
        assert await storage.get(APP, SITE) is not None


@pytest.mark.anyio
async def test_closed_by_one(storage: Storage, make_storage: MakeStorage) -> None:
    """Closing a storage leaves another storage over the same store open."""
    async with make_storage():
        await storage.put(record())

    assert await storage.get(APP, SITE) is not None


@pytest.mark.anyio
async def test_seen_by_another(storage: Storage, make_storage: MakeStorage) -> None:
    """A write of one storage is visible to another storage at once."""
    async with make_storage() as other:
        await storage.put(record())
        await storage.claim("name", "owner", 60)

        assert await other.get(APP, SITE) is not None
        assert not await other.claim("name", "other", 60)
        assert await other.delete(APP, SITE)
        assert await storage.get(APP, SITE) is None


def test_one_loop_after_the_other(
    make_storage: MakeStorage, anyio_backend: Loop, connections_in_use: CountConnections
) -> None:
    """A storage serves one event loop after another, even if it is not closed in between."""
    storage = make_storage()
    run(storage.open, anyio_backend)
    run(partial(storage.put, record()), anyio_backend)
    # The connections of an ended loop are closed with it, so that collecting them warns of nothing.
    gc.collect()
    found = [run(partial(storage.scan, APP), anyio_backend) for _ in range(3)]
    gc.collect()

    assert [1, 1, 1] == [len(page) for page in found]
    assert 0 == connections_in_use(storage)
    run(storage.aclose, anyio_backend)


def test_loops_at_once(make_storage: MakeStorage, anyio_backend: Loop) -> None:
    """Event loops of four threads share a storage: each name has one owner, no write is lost."""
    storage = make_storage()
    run(storage.open, anyio_backend)
    owners = [f"thread-{number}" for number in range(4)]
    calls = [partial(run, partial(take, storage, owner), anyio_backend) for owner in owners]
    with ThreadPoolExecutor(3) as threads:
        others = [threads.submit(call) for call in calls[1:]]
        won = [*calls[0](), *[name for other in others for name in other.result()]]
    page = run(partial(storage.scan, APP), anyio_backend)

    assert [f"name-{number}" for number in range(8)] == sorted(won)
    assert 4 * 8 == len(page)
    run(storage.aclose, anyio_backend)


async def take(storage: Storage, owner: str) -> list[str]:
    """Write eight records, and return the names out of eight that this owner got."""
    await put_all(storage, *[f"{owner}-{number}" for number in range(8)])
    names = [f"name-{number}" for number in range(8)]
    return [name for name in names if await storage.claim(name, owner, 60)]


@pytest.mark.anyio
async def test_many_at_once(storage: Storage, connections_in_use: CountConnections) -> None:
    """A hundred concurrent callers are all served, and give back their connections."""
    await together(*[partial(storage.put, record(f"{number:03}")) for number in range(100)])

    assert 100 == len(await storage.scan(APP, limit=1000))
    assert 0 == connections_in_use(storage)


@pytest.mark.anyio
@pytest.mark.parametrize("method", _METHODS)
async def test_cancelled(
    storage: Storage, method: str, connections_in_use: CountConnections
) -> None:
    """Callers that are cancelled at any step leave nothing behind, and the storage goes on."""
    await storage.put(record())
    call = partial(_METHODS[method], storage)
    for steps in range(12):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                for _ in range(8):
                    tasks.start_soon(call)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

    await call()
    assert 1 == len(await storage.scan(APP))
    assert 0 == connections_in_use(storage)
