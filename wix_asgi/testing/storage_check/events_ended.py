"""An event ends as done, without its payload, or as a dead letter, which keeps it."""

from __future__ import annotations

from functools import partial
from typing import Final

from wix_asgi.models import EventState
from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.event_records import (
    EVENT,
    LONG,
    OWNER,
    PAYLOAD,
    InboxStorage,
    dead,
    done,
    event,
    is_taken_by,
    keep_all,
    read_event,
    take,
)
from wix_asgi.testing.storage_check.records import APP
from wix_asgi.testing.storage_check.tasks import together

__all__ = [
    "test_dead_keeps_its_payload",
    "test_done_keeps_its_failure",
    "test_done_loses_its_payload",
    "test_ended_events_are_apart",
    "test_ended_once",
    "test_finish_beside_a_taker",
    "test_finish_has_one_winner",
    "test_finish_repeated",
    "test_kept_for_its_seconds",
    "test_known_without_seconds",
]


async def test_done_loses_its_payload(storage: InboxStorage) -> None:
    """A done event has no payload, no lease and no due time; its keys and outcomes are kept."""
    await storage.add_event(event(alias="alias"))
    await take(storage)

    assert await storage.finish_event(APP, EVENT, OWNER, keep=LONG, outcomes="one, two")
    found = await read_event(storage)
    assert (EventState.DONE, None, "one, two") == (found.state, found.payload, found.outcomes)
    assert (1, False, 0.0) == (found.attempts, found.is_taken, found.due_in)
    assert ("alias", event().event_type, event().instance_id, event().issued_at) == (
        found.alias,
        found.event_type,
        found.instance_id,
        found.issued_at,
    )


async def test_dead_keeps_its_payload(storage: InboxStorage) -> None:
    """A dead letter has its payload, its outcomes and the failure, and is in no queue."""
    await storage.add_event(event(alias="alias"))
    await take(storage)

    assert await storage.finish_event(
        APP, EVENT, OWNER, keep=LONG, outcomes="one", failure="ValueError in two", is_dead=True
    )
    found = await read_event(storage)
    assert (EventState.DEAD, PAYLOAD, "one") == (found.state, found.payload, found.outcomes)
    assert "ValueError in two" == found.failure
    assert (1, False, 0.0) == (found.attempts, found.is_taken, found.due_in)
    assert [] == await take(storage, "another")


async def test_done_keeps_its_failure(storage: InboxStorage) -> None:
    """A done event has the latest failure of its earlier attempts, for operators."""
    await keep_all(storage, EVENT)
    await take(storage)
    await storage.postpone_event(APP, EVENT, OWNER, delay=0, outcomes="", failure="ValueError")
    await take(storage)
    await done(storage)
    found = await read_event(storage)

    assert (EventState.DONE, "ValueError", 2) == (found.state, found.failure, found.attempts)


@each("is_dead", {"done": False, "dead": True})
async def test_kept_for_its_seconds(storage: InboxStorage, *, is_dead: bool) -> None:
    """An ended event tells for how long it is kept, up to a month."""
    month = 30 * 86_400.0
    await keep_all(storage, EVENT)
    await take(storage)
    await storage.finish_event(APP, EVENT, OWNER, keep=month, outcomes="", is_dead=is_dead)
    left = (await read_event(storage)).expires_in

    assert left is not None
    assert month >= left > month - LONG


@each("is_dead", {"done": False, "dead": True})
async def test_known_without_seconds(storage: InboxStorage, *, is_dead: bool) -> None:
    """An event that ended for no time is never taken again."""
    await keep_all(storage, EVENT)
    await take(storage, lease=0)

    assert await storage.finish_event(APP, EVENT, OWNER, keep=0, outcomes="", is_dead=is_dead)
    assert [] == await take(storage)
    assert [] == await take(storage, "another")


async def test_finish_repeated(storage: InboxStorage) -> None:
    """An event has ended after the first call: a second call returns False, and is harmless."""
    await keep_all(storage, EVENT)
    await take(storage)
    await done(storage)

    assert not await storage.finish_event(
        APP, EVENT, OWNER, keep=LONG, outcomes="again", is_dead=True
    )
    found = await read_event(storage)
    assert (EventState.DONE, "done") == (found.state, found.outcomes)


async def test_finish_has_one_winner(storage: InboxStorage) -> None:
    """If an owner ends an event ten times at once, exactly one call returns True."""
    await keep_all(storage, EVENT)
    await take(storage)
    finish = partial(storage.finish_event, APP, EVENT, OWNER, keep=LONG, outcomes="")

    assert [False] * 9 + [True] == sorted(await together(*[finish] * 10))


async def test_ended_once(storage: InboxStorage) -> None:
    """If an owner ends, postpones and renews at once, the event has ended or is postponed."""
    names: Final = [f"event-{number}" for number in range(10)]
    for name in names:
        await keep_all(storage, name)
        await take(storage)
        finished, postponed, _ = await together(
            partial(storage.finish_event, APP, name, OWNER, keep=LONG, outcomes=""),
            partial(storage.postpone_event, APP, name, OWNER, delay=LONG, outcomes=""),
            partial(storage.renew_event, APP, name, OWNER, lease=LONG, outcomes=""),
        )

        assert finished is not postponed
        assert finished is ((await read_event(storage, name)).state == EventState.DONE)


async def test_finish_beside_a_taker(storage: InboxStorage) -> None:
    """Of a late owner that ends an event and another that takes it one is first, and not both."""
    names = [f"event-{number}" for number in range(10)]
    for name in names:
        await keep_all(storage, name)
        await take(storage, lease=0)
        finished, taken = await together(
            partial(storage.finish_event, APP, name, OWNER, keep=LONG, outcomes=""),
            partial(is_taken_by, storage, f"next-{name}"),
        )

        assert finished is not taken
        await storage.drop_event(APP, name, keep=LONG)


async def test_ended_events_are_apart(storage: InboxStorage) -> None:
    """The end of an event leaves the remaining events as they are."""
    await keep_all(storage, "a", "b", "c", "d")
    await take(storage)
    await done(storage, "b")
    await dead(storage, "c")

    assert [
        (EventState.WAITING, PAYLOAD),
        (EventState.DONE, None),
        (EventState.DEAD, PAYLOAD),
        (EventState.WAITING, PAYLOAD),
    ] == [(found.state, found.payload) for found in await storage.events(APP)]
