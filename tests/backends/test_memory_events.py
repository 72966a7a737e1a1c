"""The inbox of the storage in memory, by a clock of the test: leases, ends, and a bound."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.clocks import ManualClock
from wix_asgi.models import EventCounts, EventRecord, EventState
from wix_asgi.storage import EventStorage
from wix_asgi_backends.memory import MemoryStorage

EVENT = EventRecord(
    app_id="app",
    event_id="id-1",
    alias="alias-1",
    event_type="AppInstalled",
    instance_id="site",
    payload=b"sealed",
    issued_at=datetime(2026, 5, 4, tzinfo=UTC),
)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops."""
    loop: str = request.param
    return loop


@pytest.fixture(name="clock")
def _clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(name="storage")
def _storage(clock: ManualClock) -> MemoryStorage:
    return MemoryStorage(clock=clock)


async def take(storage: EventStorage, owner: str, *, limit: int = 10) -> list[str]:
    """Take events for 20 seconds, and return their ids."""
    taken = await storage.take_events("app", owner, limit=limit, lease=20)
    return [record.event_id for record in taken]


async def add_all(storage: EventStorage, number: int) -> None:
    """Add `number` events, in the order of their ids."""
    for digit in range(1, number + 1):
        await storage.add_event(replace(EVENT, event_id=f"id-{digit}", alias=f"alias-{digit}"))


@pytest.mark.parametrize("state", [EventState.WAITING, EventState.DEAD])
async def test_an_event_begins_as_waiting(
    storage: MemoryStorage, clock: ManualClock, state: EventState
) -> None:
    """The state and the moment of its coming are the storage's, whatever the record says."""
    early = datetime(2020, 1, 1, tzinfo=UTC)
    await storage.add_event(replace(EVENT, state=state, received_at=early))
    (taken,) = await storage.take_events("app", "a", limit=1, lease=20)

    assert (EventState.WAITING, datetime.fromtimestamp(clock(), UTC)) == (
        taken.state,
        taken.received_at,
    )


async def test_an_event_is_kept_once_by_either_key(storage: MemoryStorage) -> None:
    """An event is known by its id and by its alias, in each app apart (R43)."""
    same_alias = replace(EVENT, event_id="id-2")
    without = replace(EVENT, event_id="id-3", alias=None)

    assert isinstance(storage, EventStorage)
    assert await storage.add_event(EVENT)
    assert not await storage.add_event(replace(EVENT, alias="alias-2"))
    assert not await storage.add_event(same_alias)
    assert await storage.add_event(without)
    assert await storage.add_event(replace(without, event_id="id-4"))
    assert await storage.add_event(replace(EVENT, app_id="other"))


async def test_an_event_is_read_as_it_was_written(
    storage: MemoryStorage, clock: ManualClock
) -> None:
    """A waiting event has its seconds counted from the moment at which it was kept."""
    await storage.add_event(replace(EVENT, state=EventState.DEAD, due_in=5.0, is_taken=True))
    clock.advance(7)

    kept = replace(EVENT, received_at=datetime.fromtimestamp(1_000, UTC), due_in=-2.0)
    assert kept == await storage.event("app", "id-1")
    assert await storage.event("app", "id-2") is None


async def test_a_lease_keeps_an_event_from_others(
    storage: MemoryStorage, clock: ManualClock
) -> None:
    """A taken event is nobody else's until its lease ends, and a renewed lease ends later."""
    await storage.add_event(EVENT)
    assert ["id-1"] == await take(storage, "one")
    clock.advance(19)
    assert await storage.renew_event("app", "id-1", "one", lease=20, outcomes="half")
    clock.advance(19)
    assert [] == await take(storage, "two")
    clock.advance(1)
    assert ["id-1"] == await take(storage, "two")
    assert not await storage.renew_event("app", "id-1", "one", lease=20, outcomes="more")

    kept = await storage.event("app", "id-1")
    assert kept is not None
    assert (2, 20.0, True, "half") == (kept.attempts, kept.due_in, kept.is_taken, kept.outcomes)


async def test_a_repeated_take_counts_once(storage: MemoryStorage) -> None:
    """An owner that asks again gets its events again, at their number, and then further ones."""
    await add_all(storage, 3)
    assert ["id-1", "id-2"] == await take(storage, "one", limit=2)
    assert ["id-1", "id-2"] == await take(storage, "one", limit=2)
    assert ["id-1", "id-2", "id-3"] == await take(storage, "one", limit=3)

    kept = await storage.events("app")
    assert [1, 1, 1] == [record.attempts for record in kept]


async def test_the_event_that_is_due_for_longest_comes_first(
    storage: MemoryStorage, clock: ManualClock
) -> None:
    """An event that was given back is behind the events that were due before it."""
    await add_all(storage, 3)
    await take(storage, "one", limit=1)
    clock.advance(1)
    assert await storage.postpone_event(
        "app", "id-1", "one", delay=5, outcomes="", failure="TypeError"
    )
    assert ["id-2", "id-3"] == await take(storage, "two")
    clock.advance(5)
    assert await storage.postpone_event(
        "app", "id-2", "two", delay=0, outcomes="", is_counted=False
    )
    assert not await storage.postpone_event("app", "id-2", "two", delay=0, outcomes="")
    assert ["id-1", "id-2"] == await take(storage, "three")

    kept = await storage.events("app")
    assert [2, 1, 1] == [record.attempts for record in kept]
    assert ["TypeError", None, None] == [record.failure for record in kept]


async def test_an_ended_event_is_forgotten_after_its_seconds(
    storage: MemoryStorage, clock: ManualClock
) -> None:
    """A done event loses its payload at once, and its keys after its seconds (R43)."""
    await storage.add_event(EVENT)
    await take(storage, "one")
    assert await storage.finish_event("app", "id-1", "one", keep=60, outcomes="all")
    assert not await storage.finish_event("app", "id-1", "one", keep=60, outcomes="all")
    done = await storage.event("app", "id-1")
    clock.advance(59)
    assert 0 == await storage.purge_events()
    assert not await storage.add_event(EVENT)
    clock.advance(1)
    assert 1 == await storage.purge_events()
    assert await storage.add_event(EVENT)

    assert done is not None
    assert (EventState.DONE, None, 60.0, 0.0) == (
        done.state,
        done.payload,
        done.expires_in,
        done.due_in,
    )


async def test_a_dead_letter_is_made_to_wait_again(
    storage: MemoryStorage, clock: ManualClock
) -> None:
    """A dead letter keeps its payload, and is due with its attempts counted anew."""
    await storage.add_event(EVENT)
    await take(storage, "one")
    assert await storage.finish_event(
        "app", "id-1", "one", keep=60, outcomes="all", failure="KeyError", is_dead=True
    )
    dead = await storage.events("app", state=EventState.DEAD)
    assert EventCounts(dead=1, next_dead_in=60.0) == await storage.count_events("app", limit=10)
    clock.advance(30)
    assert await storage.retry_event("app", "id-1", outcomes="")
    clock.advance(30)
    assert 0 == await storage.purge_events()
    assert EventCounts(waiting=1, oldest_age=60.0) == await storage.count_events("app", limit=10)
    (taken,) = await storage.take_events("app", "two", limit=1, lease=20)
    assert not await storage.retry_event("app", "id-1", outcomes="")

    assert [b"sealed"] == [record.payload for record in dead]
    assert (1, "", "KeyError") == (taken.attempts, taken.outcomes, taken.failure)


async def test_a_waiting_event_is_made_due_unless_it_is_taken(
    storage: MemoryStorage, clock: ManualClock
) -> None:
    """An operator's retry takes no event away from its owner while the lease lasts."""
    await storage.add_event(replace(EVENT, due_in=1000.0))
    assert [] == await take(storage, "one")
    assert await storage.retry_event("app", "id-1", outcomes="")
    assert ["id-1"] == await take(storage, "one")
    clock.advance(20)
    assert await storage.retry_event("app", "id-1", outcomes="")

    assert not await storage.renew_event("app", "id-1", "one", lease=20, outcomes="")
    assert not await storage.retry_event("app", "id-2", outcomes="")


async def test_a_dropped_event_is_done(storage: MemoryStorage) -> None:
    """A dropped event loses its payload, and its owner is told with the next call."""
    await storage.add_event(EVENT)
    await take(storage, "one")
    assert await storage.drop_event("app", "id-1", keep=60)
    assert not await storage.drop_event("app", "id-1", keep=60)
    assert not await storage.finish_event("app", "id-1", "one", keep=60, outcomes="")
    assert not await storage.retry_event("app", "id-1", outcomes="")

    (done,) = await storage.events("app", state=EventState.DONE)
    assert (None, False) == (done.payload, done.is_taken)
    assert EventCounts() == await storage.count_events("app", limit=10)


async def test_a_payload_is_resealed_where_it_is_the_expected_one(storage: MemoryStorage) -> None:
    """A payload that has changed meanwhile stays as it is."""
    await storage.add_event(EVENT)
    assert await storage.reseal_event("app", "id-1", b"newer", expected=b"sealed")
    assert not await storage.reseal_event("app", "id-1", b"newest", expected=b"sealed")

    kept = await storage.event("app", "id-1")
    assert kept is not None
    assert b"newer" == kept.payload


async def test_pages_are_in_the_order_of_ids(storage: MemoryStorage) -> None:
    """A page begins behind the id that is asked for, and has the events of one app."""
    for event_id in ("b", "a", "d", "c"):
        await storage.add_event(replace(EVENT, event_id=event_id, alias=None))
    first = await storage.events("app", limit=3)
    second = await storage.events("app", after="c", limit=3)

    assert ["a", "b", "c"] == [record.event_id for record in first]
    assert ["d"] == [record.event_id for record in second]
    assert [] == await storage.events("other")


async def test_counts_end_at_their_limit(storage: MemoryStorage) -> None:
    """Waiting events are counted up to the limit, whether they are taken or not."""
    await add_all(storage, 3)
    await take(storage, "one", limit=1)

    assert EventCounts(waiting=2) == await storage.count_events("app", limit=2)
    assert EventCounts(waiting=3) == await storage.count_events("app", limit=4)


async def test_a_purge_removes_many_in_batches(storage: MemoryStorage, clock: ManualClock) -> None:
    """A purge of more events than a batch has removes them all, and nothing else."""
    await add_all(storage, 250)
    await take(storage, "one", limit=249)
    for digit in range(1, 250):
        await storage.finish_event("app", f"id-{digit}", "one", keep=60, outcomes="")
    clock.advance(60)

    assert 249 == await storage.purge_events()
    assert ["id-250"] == [record.event_id for record in await storage.events("app")]
