"""The hooks of a removal, its failures, and the dropped tokens, in one process."""

from __future__ import annotations

import dataclasses
import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

import anyio
import pytest

from tests.client.clients import REFRESH, install
from tests.engine import Steps
from tests.limits import PATIENCE
from tests.support import SITE, make_wix
from wix_asgi import (
    Installation,
    NotInstalled,
    Record,
    StorageUnavailable,
    WixClient,
    WixUnavailable,
)
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.hooks import Hook, Hooks
from wix_asgi.installations.removal import Removal, end_of_generation
from wix_asgi.testing import FakeWix
from wix_asgi_backends.memory import MemoryStorage

APP = "test-app"
RECORD = Record(app_id=APP, instance_id=SITE, version="version-1", refresh_token=b"sealed")


def make_removal(
    storage: MemoryStorage,
    *hooks: Hook,
    detached: DetachedTasks | None = None,
    forget: Callable[[str], object] = lambda _: None,
) -> Removal:
    """Return the removal of one process."""
    detached = detached or DetachedTasks()
    made = Hooks(detached=detached)
    made.on_uninstall += hooks
    return Removal(APP, storage, made, detached=detached, forget=forget)


async def test_the_token_is_dropped_in_this_process() -> None:
    """The next call finds no installation, and asks Wix nothing."""
    fake = FakeWix()
    async with make_wix(fake, recover=False) as wix:
        await install(wix, fake)
        await wix.client(SITE).get("/x")
        fake.calls.clear()
        is_removed = await wix.remove(SITE)
        with pytest.raises(NotInstalled):
            await wix.client(SITE).get("/x")

    assert is_removed
    assert [] == fake.calls


async def test_a_refresh_under_way_does_not_bring_the_row_back() -> None:
    """Its callers are told that there is no installation."""
    fake, errors = FakeWix(), list[NotInstalled]()

    async def call(client: WixClient) -> None:
        with pytest.raises(NotInstalled) as caught:
            await client.get("/x")
        errors.append(caught.value)

    async with make_wix(fake, recover=False) as wix:
        await install(wix, fake)
        fake.expire_access_tokens()
        with fake.hold(REFRESH) as gate:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(call, wix.client(SITE))
                await gate.arrived(timeout=PATIENCE)
                is_removed = await wix.remove(SITE)
                gate.release()
        left = [one async for one in wix.installations()]

    assert is_removed
    assert 1 == len(errors)
    assert [] == left


async def test_removing_opens_the_storage() -> None:
    """A job may remove without having done anything else before."""
    wix = make_wix(FakeWix())
    is_removed = await wix.remove(SITE)
    await wix.aclose()

    assert not is_removed


async def test_hooks_of_all_kinds() -> None:
    """Async hooks run on the event loop and plain ones in a thread; the request is None."""
    seen: list[tuple[Any, ...]] = []
    wix = make_wix(FakeWix(), on_uninstall=lambda *args: seen.append((*args, is_here())))
    here = threading.get_ident()

    def is_here() -> bool:
        return threading.get_ident() == here

    @wix.on_uninstall
    async def one(installation: Installation) -> None:
        seen.append((installation, is_here()))

    @wix.on_uninstall
    def two(installation: Installation, request: None) -> None:
        seen.append((installation, request, is_here()))

    async with wix:
        await install(wix, FakeWix())
        (installation,) = [found async for found in wix.installations()]
        await wix.remove(SITE)

    assert [
        (installation, None, False),
        (installation, True),
        (installation, None, False),
    ] == seen


@pytest.mark.parametrize("error", [LookupError("broken"), SystemExit(3)])
@pytest.mark.parametrize("is_async", [False, True])
async def test_a_hook_that_raises(
    caplog: pytest.LogCaptureFixture, error: BaseException, is_async: bool
) -> None:
    """It is logged with its traceback; further hooks are called, and the removal stands."""
    seen: list[Any] = []

    def plain(_: object) -> NoReturn:
        raise error

    async def coroutine(_: object) -> NoReturn:
        raise error

    storage = MemoryStorage()
    await storage.put(RECORD)
    removal = make_removal(storage, coroutine if is_async else plain, seen.append)
    is_removed = await removal.remove(SITE)
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]

    assert is_removed
    assert [SITE] == [installation.instance_id for installation in seen]
    assert await storage.get(APP, SITE) is None
    assert line.exc_info is not None
    assert line.exc_info[1] is error
    assert f"site {SITE} stays removed" in line.getMessage()


async def test_a_caller_that_is_cancelled_cuts_no_hook_off() -> None:
    """A removal under way is finished with its hooks."""
    storage, seen = MemoryStorage(), list[Any]()
    await storage.put(RECORD)
    begun, free, ended = anyio.Event(), anyio.Event(), anyio.Event()

    async def hook(installation: Installation) -> None:
        begun.set()
        await free.wait()
        seen.append(installation.instance_id)
        ended.set()

    removal = make_removal(storage, hook)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(removal.remove, SITE)
        await begun.wait()
        tasks.cancel_scope.cancel()
    free.set()
    with anyio.fail_after(PATIENCE):
        await ended.wait()

    assert [SITE] == seen


async def test_a_shutdown_ends_the_wait() -> None:
    """Where a hook outlives the shutdown, its caller is told of that."""
    storage, detached = MemoryStorage(), DetachedTasks()
    await storage.put(RECORD)
    begun = anyio.Event()

    async def hook(_: object) -> None:
        begun.set()
        await anyio.sleep_forever()

    removal = make_removal(storage, hook, detached=detached)

    async def remove() -> None:
        with pytest.raises(WixUnavailable):
            await removal.remove(SITE)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(remove)
        await begun.wait()
        await detached.aclose(0)


async def test_a_storage_that_fails() -> None:
    """The caller is told, no hook is called, and no token is served until the row was read."""
    storage, seen, forgotten = Steps(lambda: 0.0), list[Any](), list[str]()
    await storage.put(RECORD)
    removal = make_removal(storage, seen.append, forget=forgotten.append)
    for step in ("get", "delete"):
        storage.fail(step, StorageUnavailable())
        with pytest.raises(StorageUnavailable):
            await removal.remove(SITE)

    assert ([], [SITE] * 2) == (seen, forgotten)


@pytest.mark.parametrize("installed_at", [None, datetime.max.replace(tzinfo=UTC)])
async def test_a_store_without_sensible_times(installed_at: datetime | None) -> None:
    """A row is removed where the store does not say when it was made, or says nonsense."""

    class Strange(MemoryStorage):
        async def get(self, app_id: str, instance_id: str) -> Record | None:
            record = await super().get(app_id, instance_id)
            return record and dataclasses.replace(record, installed_at=installed_at)

    storage = Strange()
    await storage.put(RECORD)
    is_removed = await make_removal(storage).remove(SITE)

    assert is_removed


def test_the_end_of_a_generation() -> None:
    """It is the next moment that every storage tells apart."""
    moment = datetime(2026, 11, 1, tzinfo=UTC)

    assert moment.replace(microsecond=1000) == end_of_generation(moment)


async def test_a_row_whose_key_is_lost_is_removed() -> None:
    """Nothing is unsealed for a removal (R33)."""
    fake, storage = FakeWix(), MemoryStorage()
    async with make_wix(fake, storage=storage, encryption_keys=[bytes(range(32)).hex()]) as wix:
        await install(wix, fake)
    async with make_wix(fake, storage=storage) as wix:
        is_removed = await wix.remove(SITE)

    assert is_removed


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_no_sealed_token_stays_in_the_tables(tmp_path: Path) -> None:
    """No value of any table has a sealed token."""
    fake, file = FakeWix(), tmp_path / "wix-asgi.db"
    async with make_wix(fake, storage=f"sqlite:///{file}") as wix:
        await install(wix, fake)
        record = await wix.storage.get(fake.app_id, SITE)
        before = values_in(file)
        await wix.remove(SITE)
        after = values_in(file)

    assert record is not None
    assert {record.refresh_token, record.access_token} <= before
    assert set() == {record.refresh_token, record.access_token} & after


def values_in(file: Path) -> set[Any]:
    """Return every value of every table."""
    with closing(sqlite3.connect(file)) as database:
        tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        rows = [database.execute(f'SELECT * FROM "{name}"').fetchall() for (name,) in tables]  # noqa: S608
    return {value for table in rows for row in table for value in row}
