"""Purging an inbox removes ended events whose seconds are over, with their keys, and no others.

A call may remove a part of them: the cases call until nothing is left.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import pytest

from wix_asgi.testing.storage_check.event_records import (
    LONG,
    OWNER,
    SHORT,
    InboxStorage,
    event,
    ids,
    keep_all,
    take,
)
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi.testing.storage_check.tasks import together, until

__all__ = [
    "test_purge_of_events",
    "test_purge_of_events_at_once",
    "test_purge_of_events_of_every_app",
    "test_purge_of_events_spares_records_and_claims",
    "test_purge_of_events_spares_what_is_kept",
    "test_purge_of_events_when_seconds_are_over",
    "test_purge_of_many_events",
    "test_purge_of_retried_events",
    "test_purge_spares_events",
    "test_purged_keys_are_forgotten",
]

# Events; enough for a store that removes a hundred at once to need several batches.
_MANY: Final = 250


async def _end(
    storage: InboxStorage, *names: str, keep: float, is_dead: bool = False, app_id: str = APP
) -> None:
    """Keep, take and end an event for each of the names, which is its alias, too."""
    for name in names:
        assert await storage.add_event(event(name, alias=name, app_id=app_id))
        assert [name] == await take(storage, app_id=app_id)
        assert await storage.finish_event(
            app_id, name, OWNER, keep=keep, outcomes="", is_dead=is_dead
        )


@pytest.mark.anyio
@pytest.mark.parametrize("number", [0, 1, 5])
async def test_purge_of_events(storage: InboxStorage, number: int) -> None:
    """Done events and dead letters whose seconds are over are removed, and counted once."""
    await _end(storage, *[f"done-{name}" for name in range(number)], keep=0)
    await _end(storage, *[f"dead-{name}" for name in range(number)], keep=0, is_dead=True)

    assert 2 * number == await _purge_all(storage)
    assert [] == ids(await storage.events(APP))
    assert 0 == await storage.purge_events()


@pytest.mark.anyio
async def test_purged_keys_are_forgotten(storage: InboxStorage) -> None:
    """Both keys of a purged event are free for another, which is handled as a new event."""
    await _end(storage, "a", "b", keep=0)
    await keep_all(storage, "no alias", alias=None)
    await keep_all(storage, "empty alias", alias="")
    await take(storage)
    await storage.finish_event(APP, "no alias", OWNER, keep=0, outcomes="")
    await _purge_all(storage)

    assert not await storage.add_event(event("e", alias=""))
    assert await storage.add_event(event("a", alias="another"))
    assert await storage.add_event(event("c", alias="b"))
    assert not await storage.add_event(event("d", alias="b"))
    assert ["a", "c"] == sorted(await take(storage, "another"))


@pytest.mark.anyio
async def test_purge_of_events_spares_what_is_kept(storage: InboxStorage) -> None:
    """Waiting and taken events are never purged, and ended events not before their end."""
    await _end(storage, "done", keep=LONG)
    await _end(storage, "dead", keep=LONG, is_dead=True)
    await _end(storage, "over", keep=0)
    await keep_all(storage, "taken", alias="taken")
    await take(storage)
    await keep_all(storage, "lapsed", alias="lapsed")
    await take(storage, "killed", lease=0)
    await keep_all(storage, "due", due_in=-1e6, alias="due")
    await keep_all(storage, "later", due_in=LONG, alias="later")
    staying = ["dead", "done", "due", "lapsed", "later", "taken"]

    assert 1 == await _purge_all(storage)
    assert staying == ids(await storage.events(APP))
    assert [False] * 6 == [await storage.add_event(event("new", alias=name)) for name in staying]


@pytest.mark.anyio
async def test_purge_of_events_when_seconds_are_over(storage: InboxStorage) -> None:
    """An event may be purged once its seconds are over by the store's clock."""
    await _end(storage, "a", keep=SHORT)

    async def is_purged() -> bool:
        return await storage.purge_events() == 1

    await until(is_purged)

    assert await storage.event(APP, "a") is None


@pytest.mark.anyio
async def test_purge_of_retried_events(storage: InboxStorage) -> None:
    """A dead letter that was retried waits, and is not purged."""
    await _end(storage, "a", keep=0, is_dead=True)
    await storage.retry_event(APP, "a", outcomes="")

    assert 0 == await _purge_all(storage)
    assert ["a"] == await take(storage)


@pytest.mark.anyio
async def test_purge_of_events_of_every_app(storage: InboxStorage) -> None:
    """The events of all apps are purged."""
    await _end(storage, "a", keep=0, app_id="one")
    await _end(storage, "a", keep=0, app_id="two")

    assert 2 == await _purge_all(storage)


@pytest.mark.anyio
async def test_purge_of_many_events(storage: InboxStorage) -> None:
    """Calls until one returns 0 remove all of many events, and an event added meanwhile stays."""
    names = [f"{number:03}" for number in range(_MANY)]
    await together(*[partial(keep_all, storage, name) for name in names])
    await take(storage, limit=_MANY)
    await together(
        *[partial(storage.finish_event, APP, name, OWNER, keep=0, outcomes="") for name in names]
    )
    removed, added = await together(
        partial(_purge_all, storage), partial(storage.add_event, event("meanwhile"))
    )

    assert (_MANY, True) == (removed, added)
    assert ["meanwhile"] == ids(await storage.events(APP))


@pytest.mark.anyio
async def test_purge_of_events_at_once(storage: InboxStorage) -> None:
    """If ten callers purge at once, each counts only the events that it removed itself."""
    await _end(storage, *"abcde", keep=0)
    purged = await together(*[partial(_purge_all, storage)] * 10)

    assert 5 == sum(purged)


@pytest.mark.anyio
async def test_purge_of_events_spares_records_and_claims(storage: InboxStorage) -> None:
    """Purging the inbox removes no installation and no claim."""
    await storage.put(record(access_token=None, expires_in=-1e6, retry_in=-1e6))
    await storage.claim("over", "owner", 0)

    assert 0 == await _purge_all(storage)
    assert await storage.get(APP, SITE) is not None
    assert 1 == await storage.purge()


@pytest.mark.anyio
async def test_purge_spares_events(storage: InboxStorage) -> None:
    """Purging the claims removes no event."""
    await _end(storage, "a", keep=0)
    await keep_all(storage, "b")

    assert 0 == await storage.purge()
    assert ["a", "b"] == ids(await storage.events(APP))


async def _purge_all(storage: InboxStorage) -> int:
    """Purge until nothing is left, and return the number of events that were removed."""
    total = 0
    while removed := await storage.purge_events():
        total += removed
    return total
