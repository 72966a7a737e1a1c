"""An inbox whose database is gone, restarted or locked: no event is lost or handled twice."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import anyio
import pytest

from tests.backends.support import connections_in_use, try_for
from tests.daemons import running
from tests.limits import PATIENCE
from tests.postgres_server import PostgresServer
from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import EventState
from wix_asgi.testing.storage_check.event_records import (
    EVENT,
    LONG,
    OWNER,
    event,
    ids,
    keep_all,
    read_event,
    take,
)
from wix_asgi.testing.storage_check.records import APP
from wix_asgi.testing.storage_check.tasks import until
from wix_asgi_backends._postgres_url import parse_url
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.postgres import PostgresStorage
from wix_asgi_backends.sqlite import SQLiteStorage


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the drivers do."""
    return "asyncio"


@pytest.fixture(name="server")
def _server() -> Iterator[PostgresServer]:
    """Give a server that may be stopped."""
    with running(PostgresServer()) as server:
        yield server


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
async def test_restart_under_load(server: PostgresServer, how: signal.Signals) -> None:
    """Over a restart or a crash of the server all kept events are handled, each by one owner."""
    kept: list[str] = []
    handled: list[str] = []
    over, all_kept = anyio.Event(), anyio.Event()

    async def keep(storage: PostgresStorage) -> None:
        for number in count():
            if over.is_set():
                all_kept.set()
                return
            await storage.add_event(event(f"{number}", alias=f"{number}"))
            kept.append(f"{number}")

    async def work(storage: PostgresStorage, name: str) -> None:
        for number in count():
            owner, is_last = f"{name}-{number}", all_kept.is_set()
            taken = await storage.take_events(APP, owner, limit=3, lease=3600)
            for one in taken:
                assert await storage.finish_event(APP, one.event_id, owner, keep=LONG, outcomes="")
                handled.append(one.event_id)
            if is_last and not taken:
                return

    async def is_working(since: int) -> bool:
        return len(handled) > since + 30

    async with PostgresStorage(parse_url(server.url)) as storage:
        try_for(storage, PATIENCE)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep, storage)
            for number in range(4):
                tasks.start_soon(work, storage, f"worker-{number}")
            await until(partial(is_working, 0))
            await anyio.to_thread.run_sync(server.stop, how)
            before = len(handled)
            await anyio.to_thread.run_sync(server.start)
            await until(partial(is_working, before))
            over.set()
        # Adding may have been carried out by an attempt that was not answered.
        waiting = await storage.events(APP, state=EventState.WAITING)

        assert [] == ids(waiting)
        assert len(handled) == len({*handled})
        assert {*kept} <= {*handled}
        assert 0 == connections_in_use(storage)


async def test_stopped_server(server: PostgresServer) -> None:
    """While the server is gone nothing is told as kept, taken or ended; then it goes on (R55)."""
    async with PostgresStorage(parse_url(server.url)) as storage:
        await keep_all(storage, EVENT)
        await take(storage)
        await anyio.to_thread.run_sync(server.stop)
        try_for(storage, 0.3)
        for call in (
            partial(storage.add_event, event("new")),
            partial(storage.take_events, APP, "another", limit=1, lease=LONG),
            partial(storage.finish_event, APP, EVENT, OWNER, keep=LONG, outcomes=""),
        ):
            with pytest.raises(StorageUnavailable):
                await call()
        await anyio.to_thread.run_sync(server.start)
        try_for(storage, PATIENCE)

        assert await storage.event(APP, "new") is None
        assert await storage.add_event(event("new"))
        assert ["new"] == await take(storage, "another")
        assert await storage.finish_event(APP, EVENT, OWNER, keep=LONG, outcomes="")


async def test_locked_file(tmp_path: Path) -> None:
    """A change that finds the file locked by another program waits for it, or is told."""
    path = tmp_path / "test.db"
    async with SQLiteStorage(path) as storage:
        await keep_all(storage, EVENT)
    waits: list[float] = []
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    async def unlock(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            other.close()

    async with SQLiteStorage(path, retry=Retry(sleep=unlock), busy_seconds=0.0) as storage:
        assert [EVENT] == await take(storage)
        with closing(sqlite3.connect(path, isolation_level=None)) as another:
            another.execute("BEGIN IMMEDIATE")
            try_for(storage, 0.0)
            with pytest.raises(StorageUnavailable, match="kept its lock"):
                await storage.finish_event(APP, EVENT, OWNER, keep=LONG, outcomes="")
            try_for(storage, PATIENCE)
            listed = ids(await storage.events(APP))
        found = await read_event(storage)

    assert 3 == len(waits)
    assert [EVENT] == listed
    assert (EventState.WAITING, 1, True) == (found.state, found.attempts, found.is_taken)
