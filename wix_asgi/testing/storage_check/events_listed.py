"""Pages list every event of an app once and in order, in any state, beside adding and ending."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from wix_asgi.models import EventRecord, EventState
from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.event_records import (
    LONG,
    OWNER,
    InboxStorage,
    dead,
    done,
    event,
    ids,
    keep_all,
    read_event,
    take,
    timeless_event,
)
from wix_asgi.testing.storage_check.key_values import ORDER, UNORDERED
from wix_asgi.testing.storage_check.records import APP
from wix_asgi.testing.storage_check.tasks import together

__all__ = [
    "test_changing_events_between_pages",
    "test_ending_events_between_pages",
    "test_events_at_once",
    "test_events_in_a_state",
    "test_events_of_an_empty_inbox",
    "test_events_of_one_app",
    "test_listed_events_are_whole",
    "test_listing_changes_nothing",
    "test_order_of_events",
    "test_order_of_two_events",
    "test_page_of_a_hundred_events",
    "test_pages_of_a_state",
    "test_short_page_of_events_is_the_last",
    "test_start_of_a_page_of_events",
]

_STATES: Final = {
    "waiting": (EventState.WAITING, ["0", "3", "6", "9"]),
    "done": (EventState.DONE, ["1", "4", "7"]),
    "dead": (EventState.DEAD, ["2", "5", "8"]),
    "any": (None, [*"0123456789"]),
}


async def _keep_in_all_states(storage: InboxStorage) -> None:
    """Keep ten events: four that wait, three done events and three dead letters."""
    await keep_all(storage, *"0123456789")
    await take(storage)
    for number in (1, 4, 7):
        await done(storage, f"{number}")
        await dead(storage, f"{number + 1}")


async def _pages(
    storage: InboxStorage, limit: int, state: EventState | None = None
) -> AsyncIterator[list[EventRecord]]:
    """Yield the pages of all events of the app."""
    after = ""
    while page := await storage.events(APP, state=state, after=after, limit=limit):
        assert page[0].event_id > after
        yield list(page)
        after = page[-1].event_id


async def test_events_of_an_empty_inbox(storage: InboxStorage) -> None:
    """An app without events has an empty page, in every state."""
    await storage.add_event(event(app_id="another"))

    assert [[]] * 4 == [
        list(await storage.events(APP, state=state)) for state in (None, *EventState)
    ]


async def test_events_of_one_app(storage: InboxStorage) -> None:
    """A page has the events of one app only."""
    for app_id in ("one", "two", "three"):
        for number in range(3):
            await storage.add_event(event(f"{app_id}-{number}", app_id=app_id))

    assert ["two-0", "two-1", "two-2"] == ids(await storage.events("two", limit=4))


async def test_listed_events_are_whole(storage: InboxStorage) -> None:
    """A page has the same fields of an event as reading it, in every state."""
    await _keep_in_all_states(storage)
    await storage.add_event(event("later", alias="alias", due_in=LONG))
    listed = await storage.events(APP)
    read = [await read_event(storage, found.event_id) for found in listed]

    assert 11 == len(listed)
    assert [timeless_event(found) for found in read] == [timeless_event(one) for one in listed]
    assert [found.received_at for found in read] == [found.received_at for found in listed]
    for one, found in zip(listed, read, strict=True):
        assert one.due_in >= found.due_in
        assert (one.expires_in or 0.0) >= (found.expires_in or 0.0)
        assert (one.expires_in is None) is (found.state == EventState.WAITING)


@each("limit", {"one": 1, "a few": 3, "all of them": len(UNORDERED), "more": 100})
async def test_order_of_events(storage: InboxStorage, limit: int) -> None:
    """Pages of any size list every event once, in the order of the code points of the ids."""
    await keep_all(storage, *UNORDERED)
    found = [event_id async for page in _pages(storage, limit) for event_id in ids(page)]

    assert sorted(UNORDERED) == found


@each("pair", ORDER)
async def test_order_of_two_events(storage: InboxStorage, pair: tuple[str, str]) -> None:
    """Ids of events are compared code point by code point, also with the beginning of a page."""
    first, second = pair
    await keep_all(storage, second, first)

    assert [first, second] == ids(await storage.events(APP))
    assert [second] == ids(await storage.events(APP, after=first))
    assert [] == list(await storage.events(APP, after=second))


async def test_page_of_a_hundred_events(storage: InboxStorage) -> None:
    """A page holds a hundred events unless another limit is given."""
    names = [f"{number:03}" for number in range(101)]
    await together(*[partial(keep_all, storage, name) for name in names])

    assert names[:100] == ids(await storage.events(APP))
    assert ["100"] == ids(await storage.events(APP, after="099"))


@each("state", _STATES)
async def test_events_in_a_state(
    storage: InboxStorage, state: tuple[EventState | None, list[str]]
) -> None:
    """A page has the events in the state that is asked for, or all."""
    asked, expected = state
    await _keep_in_all_states(storage)

    assert expected == ids(await storage.events(APP, state=asked))
    assert expected[1:] == ids(await storage.events(APP, state=asked, after=expected[0]))


@each("state", _STATES)
async def test_pages_of_a_state(
    storage: InboxStorage, state: tuple[EventState | None, list[str]]
) -> None:
    """A page is filled up to its limit with events in its state, as far as there are any."""
    asked, expected = state
    await _keep_in_all_states(storage)
    pages = [ids(page) async for page in _pages(storage, 2, asked)]

    assert [expected[start : start + 2] for start in range(0, len(expected), 2)] == pages


async def test_short_page_of_events_is_the_last(storage: InboxStorage) -> None:
    """A page of events that is shorter than its limit is the last page."""
    await keep_all(storage, "a", "b", "c")

    assert ["a", "b", "c"] == ids(await storage.events(APP, limit=4))
    assert [] == list(await storage.events(APP, after="c", limit=4))


@each(
    "start",
    {
        "before all": ("0", ["a", "c"]),
        "at the first": ("a", ["c"]),
        "between": ("b", ["c"]),
        "just behind": ("a\x00", ["c"]),
        "at the last": ("c", []),
        "behind all": ("\U0010ffff", []),
    },
)
async def test_start_of_a_page_of_events(
    storage: InboxStorage, start: tuple[str, list[str]]
) -> None:
    """A page begins behind `after`, even if no event has that id."""
    after, expected = start
    await keep_all(storage, "a", "c")

    assert expected == ids(await storage.events(APP, after=after))


async def test_listing_changes_nothing(storage: InboxStorage) -> None:
    """Events that are read and listed are neither taken nor counted nor renewed by it."""
    await keep_all(storage, "a", "b")
    await take(storage, limit=1, lease=0)
    for _ in range(3):
        await storage.events(APP)
        await storage.event(APP, "a")
        await storage.count_events(APP, limit=10)

    assert ["a", "b"] == sorted(await take(storage, "another"))
    assert [1, 2] == sorted(found.attempts for found in await storage.events(APP))


async def test_ending_events_between_pages(storage: InboxStorage) -> None:
    """Events that end while pages are read are on exactly one page of all events."""
    names = [f"{number:02}" for number in range(12)]
    await keep_all(storage, *names)
    await take(storage)
    found: list[str] = []
    async for page in _pages(storage, 3):
        found += ids(page)
        await done(storage, names[len(found) - 3])
        await dead(storage, names[len(found) - 2])
        await storage.drop_event(APP, names[len(found) - 1], keep=LONG)

    assert names == found


async def test_changing_events_between_pages(storage: InboxStorage) -> None:
    """Events that stay are on exactly one page, while others come and change their state."""
    staying = [f"{number:02}" for number in range(0, 20, 2)]
    await keep_all(storage, *staying, "05")
    found: list[str] = []
    async for page in _pages(storage, 2, EventState.WAITING):
        found += ids(page)
        await keep_all(storage, f"01-{len(found)}", f"19-{len(found)}")
        await take(storage, lease=0)
        await storage.drop_event(APP, "05", keep=LONG)

    assert staying == [event_id for event_id in found if event_id in staying]
    assert "05" not in found[6:]


async def test_events_at_once(storage: InboxStorage) -> None:
    """A list beside ten callers that keep, take and end events has the staying events once each."""
    staying = [f"{number:02}" for number in range(10)]
    await keep_all(storage, *staying, due_in=LONG)

    async def work(name: str) -> list[str]:
        for number in range(3):
            owner = f"{OWNER}-{name}-{number}"
            await keep_all(storage, f"{name}-{number}")
            for taken in await take(storage, owner, limit=1):
                await storage.finish_event(APP, taken, owner, keep=LONG, outcomes="")
        return staying

    async def read() -> list[str]:
        found = [event_id async for page in _pages(storage, 4) for event_id in ids(page)]
        assert sorted(set(found)) == found
        return [event_id for event_id in found if event_id in staying]

    lists = await together(*[partial(work, one) for one in staying], read, read)

    assert [staying] * 12 == lists
