"""Waiting events and dead letters are counted up to a limit, with the age of the oldest."""

from __future__ import annotations

from functools import partial
from typing import Final

from wix_asgi.models import EventCounts
from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.event_records import (
    LONG,
    OWNER,
    SHORT,
    InboxStorage,
    dead,
    done,
    event,
    keep_all,
    take,
)
from wix_asgi.testing.storage_check.records import APP
from wix_asgi.testing.storage_check.tasks import until

__all__ = [
    "test_age_of_the_oldest",
    "test_age_of_the_oldest_beyond_the_limit",
    "test_age_without_waiting_events",
    "test_counts",
    "test_counts_of_an_empty_inbox",
    "test_counts_of_one_app",
    "test_counts_up_to_a_limit",
    "test_next_end_of_a_dead_letter",
]

_MANY: Final = 1000
_ROUNDING: Final = 0.002  # seconds; of two moments in whole milliseconds


async def _count(storage: InboxStorage, limit: int = _MANY) -> tuple[int, int]:
    counts = await storage.count_events(APP, limit=limit)
    return counts.waiting, counts.dead


async def test_counts_of_an_empty_inbox(storage: InboxStorage) -> None:
    """An inbox without events has no counts, no age and no end."""
    assert EventCounts() == await storage.count_events(APP, limit=_MANY)


async def test_counts(storage: InboxStorage) -> None:
    """Waiting are the events that are due, taken, or due later; done events are not counted."""
    await keep_all(storage, *"abcde")
    await take(storage)
    await done(storage, "a")
    await dead(storage, "b")
    await storage.postpone_event(APP, "c", OWNER, delay=LONG, outcomes="")
    await storage.drop_event(APP, "d", keep=LONG)
    await keep_all(storage, "f", due_in=LONG)
    await keep_all(storage, "g")

    assert (4, 1) == await _count(storage)
    assert await storage.retry_event(APP, "b", outcomes="")
    assert (5, 0) == await _count(storage)


@each("limit", {"1": 1, "2": 2, "3": 3, "4": 4})
async def test_counts_up_to_a_limit(storage: InboxStorage, limit: int) -> None:
    """Both are counted up to the limit, each by itself."""
    await keep_all(storage, *"abcde")
    await take(storage)
    for event_id in "ab":
        await dead(storage, event_id)

    assert (min(3, limit), min(2, limit)) == await _count(storage, limit)


async def test_counts_of_one_app(storage: InboxStorage) -> None:
    """The events of other apps are not counted."""
    await storage.add_event(event(app_id="another"))
    await storage.add_event(event(app_id="a third"))
    await storage.take_events("a third", OWNER, limit=1, lease=LONG)

    assert EventCounts() == await storage.count_events(APP, limit=_MANY)
    assert 1 == (await storage.count_events("another", limit=_MANY)).waiting


async def _is_older(storage: InboxStorage, than: float, limit: int = _MANY) -> bool:
    return (await storage.count_events(APP, limit=limit)).oldest_age > than


async def test_age_of_the_oldest(storage: InboxStorage) -> None:
    """The age is that of the waiting event that was received first, and grows."""
    await keep_all(storage, "a")
    await until(partial(_is_older, storage, SHORT))
    await keep_all(storage, "b", due_in=-LONG)
    await take(storage)
    with_both = (await storage.count_events(APP, limit=_MANY)).oldest_age
    await done(storage, "a")
    with_the_later = (await storage.count_events(APP, limit=_MANY)).oldest_age
    await keep_all(storage, "c")
    _, second, last = [found.received_at for found in await storage.events(APP)]

    assert with_both > SHORT
    assert second is not None
    assert last is not None
    assert (last - second).total_seconds() + _ROUNDING >= with_the_later >= 0


async def test_age_of_the_oldest_beyond_the_limit(storage: InboxStorage) -> None:
    """The oldest event is the oldest of all events, not of the counted ones."""
    await keep_all(storage, "z", due_in=LONG)
    await until(partial(_is_older, storage, SHORT))
    await keep_all(storage, "a", "b", due_in=-LONG)

    assert (await storage.count_events(APP, limit=1)).oldest_age > SHORT


async def test_age_without_waiting_events(storage: InboxStorage) -> None:
    """Where no event waits, there is no age, however old the ended ones are."""
    await keep_all(storage, "a", "b")
    await until(partial(_is_older, storage, SHORT))
    await take(storage)
    await done(storage, "a")
    await dead(storage, "b")

    assert 0 == (await storage.count_events(APP, limit=_MANY)).oldest_age


async def test_next_end_of_a_dead_letter(storage: InboxStorage) -> None:
    """The end that comes next is that of a dead letter, not of a done event, at any limit."""
    await keep_all(storage, *"abcd")
    await take(storage)
    await dead(storage, "a", keep=7200.0)
    await dead(storage, "b", keep=3600.0)
    await dead(storage, "c", keep=9000.0)
    await done(storage, "d")
    ends = [(await storage.count_events(APP, limit=limit)).next_dead_in for limit in (1, 3, _MANY)]

    assert [True] * 3 == [end is not None and 3600.0 >= end > 3600.0 - LONG for end in ends]
    await storage.retry_event(APP, "b", outcomes="")
    end = (await storage.count_events(APP, limit=1)).next_dead_in
    assert end is not None
    assert 7200.0 >= end > 3600.0
