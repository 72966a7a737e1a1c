"""An inbox outlives closing, serves other storages and event loops, and cancelled callers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import anyio
import pytest

from wix_asgi.testing.storage._loops import Loop, run
from wix_asgi.testing.storage_check.event_records import (
    EVENT,
    LONG,
    OWNER,
    PAYLOAD,
    InboxStorage,
    event,
    ids,
    keep_all,
    take,
)
from wix_asgi.testing.storage_check.records import APP

__all__ = [
    "EVENT_METHODS",
    "test_cancelled_with_events",
    "test_events_and_loops_at_once",
    "test_events_outlive_closing",
    "test_events_seen_by_another",
]

MakeStorage = Callable[[], InboxStorage]

EVENT_METHODS: Final[dict[str, Callable[[InboxStorage], Coroutine[Any, Any, object]]]] = {
    "add_event": lambda storage: storage.add_event(event()),
    "take_events": lambda storage: storage.take_events(APP, OWNER, limit=1, lease=LONG),
    "renew_event": lambda storage: storage.renew_event(APP, EVENT, OWNER, lease=LONG, outcomes=""),
    "finish_event": lambda storage: storage.finish_event(
        APP, "another", OWNER, keep=LONG, outcomes=""
    ),
    "postpone_event": lambda storage: storage.postpone_event(
        APP, EVENT, OWNER, delay=0, outcomes=""
    ),
    "event": lambda storage: storage.event(APP, EVENT),
    "events": lambda storage: storage.events(APP),
    "count_events": lambda storage: storage.count_events(APP, limit=10),
    "retry_event": lambda storage: storage.retry_event(APP, EVENT, outcomes=""),
    "drop_event": lambda storage: storage.drop_event(APP, "another", keep=LONG),
    "drop_event at once": lambda storage: storage.drop_event(APP, "another", keep=0),
    "reseal_event": lambda storage: storage.reseal_event(APP, EVENT, PAYLOAD, expected=PAYLOAD),
    "purge_events": lambda storage: storage.purge_events(),
}
"""Calls of all methods, which leave the event `EVENT` known."""


@pytest.mark.anyio
async def test_events_outlive_closing(make_storage: MakeStorage) -> None:
    """Events, their keys and their leases outlive closing the storage."""
    storage = make_storage()
    async with storage:
        await keep_all(storage, "a", due_in=-1.0, alias="alias")
        await take(storage)
        await keep_all(storage, "b")
    async with storage:
        assert ["a", "b"] == ids(await storage.events(APP))
        assert not await storage.add_event(event("c", alias="alias"))
        assert ["b"] == await take(storage, "another")
        assert await storage.renew_event(APP, "a", OWNER, lease=LONG, outcomes="")


@pytest.mark.anyio
async def test_events_seen_by_another(storage: InboxStorage, make_storage: MakeStorage) -> None:
    """An event that one storage kept is known to another storage at once, and taken by one."""
    async with make_storage() as other:
        assert await storage.add_event(event(alias="alias"))
        assert not await other.add_event(event())
        assert not await other.add_event(event("another", alias="alias"))
        assert [EVENT] == await take(other, "other")
        assert [] == await take(storage)
        assert await other.finish_event(APP, EVENT, "other", keep=LONG, outcomes="")
        assert [] == await take(storage)


def test_events_and_loops_at_once(make_storage: MakeStorage, anyio_backend: Loop) -> None:
    """Event loops of four threads share an inbox: each event is taken by one loop."""
    storage = make_storage()
    names = [f"{number:02}" for number in range(32)]
    run(storage.open, anyio_backend)
    run(partial(keep_all, storage, *names), anyio_backend)
    calls = [
        partial(run, partial(_take_some, storage, f"thread-{number}"), anyio_backend)
        for number in range(4)
    ]
    with ThreadPoolExecutor(3) as threads:
        others = [threads.submit(call) for call in calls[1:]]
        taken = [*calls[0](), *[name for other in others for name in other.result()]]

    assert names == sorted(taken)
    run(storage.aclose, anyio_backend)


async def _take_some(storage: InboxStorage, owner: str) -> list[str]:
    """Take three events at a time until none is due."""
    names: list[str] = []
    while found := await take(storage, f"{owner}-{len(names)}", limit=3):
        names += found
    return names


@pytest.mark.anyio
@pytest.mark.parametrize("method", EVENT_METHODS)
async def test_cancelled_with_events(
    storage: InboxStorage, method: str, connections_in_use: Callable[[InboxStorage], int]
) -> None:
    """Callers that are cancelled at any step leave no lock behind, and the inbox goes on."""
    await keep_all(storage, EVENT, "another", due_in=-1.0)
    call = partial(EVENT_METHODS[method], storage)
    for steps in range(12):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                for _ in range(8):
                    tasks.start_soon(call)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

    await call()
    assert EVENT in ids(await storage.events(APP))
    assert await storage.add_event(event("a new one"))
    assert "a new one" in await take(storage, "another owner")
    assert 0 == connections_in_use(storage)
