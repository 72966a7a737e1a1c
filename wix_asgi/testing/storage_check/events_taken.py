"""Due events are taken in their order, each by one owner at a time, and again after the lease."""

from __future__ import annotations

from functools import partial
from typing import Final

from wix_asgi.models import EventRecord, EventState
from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.event_records import (
    EVENT,
    LONG,
    OWNER,
    SHORT,
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
from wix_asgi.testing.storage_check.records import APP
from wix_asgi.testing.storage_check.tasks import together, until

__all__ = [
    "test_again_after_the_lease",
    "test_attempts_are_counted",
    "test_due_after_its_delay",
    "test_ended_events_are_not_taken",
    "test_lapsed_lease_has_one_taker",
    "test_lease_of_no_time",
    "test_leases_are_apart",
    "test_limit_of_taking",
    "test_longest_due_first",
    "test_longest_due_first_by_one",
    "test_not_taken_twice",
    "test_take_beside_adding",
    "test_take_from_an_empty_inbox",
    "test_take_of_another_app",
    "test_take_of_one_owner",
    "test_take_repeated",
    "test_take_repeated_beyond_the_limit",
    "test_take_repeated_counts_the_lease_anew",
    "test_taken_event",
    "test_takers_at_once",
]

_MANY: Final = [f"{number:02}" for number in range(40)]
_DUE: Final = {"a": -3.0, "b": -5.0, "c": -1.0, "d": -4.0, "e": -2.0}  # seconds
_IN_ORDER: Final = ["b", "d", "a", "e", "c"]


async def _keep_in_disorder(storage: InboxStorage) -> None:
    for name, due_in in _DUE.items():
        await keep_all(storage, name, due_in=due_in)
    await keep_all(storage, "later", due_in=LONG)


async def test_taken_event(storage: InboxStorage) -> None:
    """A taken event comes with all of its fields, its first attempt, and the whole lease."""
    written = event(alias="alias")
    await storage.add_event(written)
    (taken,) = await storage.take_events(APP, OWNER, limit=10, lease=LONG)
    found = await read_event(storage)

    assert (1, True, EventState.WAITING) == (taken.attempts, taken.is_taken, taken.state)
    assert LONG >= taken.due_in > 0
    assert timeless_event(taken) == timeless_event(found)
    assert (written.alias, written.payload, written.issued_at, written.instance_id) == (
        taken.alias,
        taken.payload,
        taken.issued_at,
        taken.instance_id,
    )
    assert taken.received_at == found.received_at
    assert LONG >= found.due_in > 0


async def test_take_from_an_empty_inbox(storage: InboxStorage) -> None:
    """An inbox without events has none to take."""
    assert [] == await take(storage)


async def test_not_taken_twice(storage: InboxStorage) -> None:
    """No other owner gets an event while its lease lasts."""
    await keep_all(storage, EVENT)

    assert [EVENT] == await take(storage, "first")
    assert [] == await take(storage, "second")
    assert [] == await take(storage, "third", lease=0)
    assert 1 == (await read_event(storage)).attempts


@each("limit", {"1": 1, "2": 2, "5": 5, "1000": 1000})
async def test_limit_of_taking(storage: InboxStorage, limit: int) -> None:
    """No more events are taken than the limit allows; the rest stays for other owners."""
    await keep_all(storage, "a", "b", "c", "d", "e")
    taken = await take(storage, "first", limit=limit)
    others = await take(storage, "second")

    assert min(limit, 5) == len(taken)
    assert ["a", "b", "c", "d", "e"] == sorted([*taken, *others])


async def test_longest_due_first(storage: InboxStorage) -> None:
    """Events are taken in the order in which they became due, and none that is due later."""
    await _keep_in_disorder(storage)

    assert _IN_ORDER == await take(storage)


async def test_longest_due_first_by_one(storage: InboxStorage) -> None:
    """The limit leaves those events for later that became due last."""
    await _keep_in_disorder(storage)
    taken = [await take(storage, f"owner-{number}", limit=1) for number in range(6)]

    assert [[name] for name in _IN_ORDER] + [[]] == taken


async def test_due_after_its_delay(storage: InboxStorage) -> None:
    """An event is due when its seconds are over by the store's clock."""
    await keep_all(storage, EVENT, due_in=SHORT)

    async def is_due() -> bool:
        return [EVENT] == await take(storage)

    await until(is_due)

    assert 1 == (await read_event(storage)).attempts


async def test_again_after_the_lease(storage: InboxStorage) -> None:
    """An event whose lease has ended is due again, and goes to the next owner."""
    await keep_all(storage, EVENT)
    await take(storage, "killed", lease=SHORT)

    async def is_due() -> bool:
        return [EVENT] == await take(storage, "next")

    await until(is_due)

    assert 2 == (await read_event(storage)).attempts
    assert [] == await take(storage, "third")


async def test_lease_of_no_time(storage: InboxStorage) -> None:
    """An event that is taken for no time is not held, and goes to the next owner."""
    await keep_all(storage, EVENT)
    await take(storage, "first", lease=0)

    assert not (await read_event(storage)).is_taken
    assert [EVENT] == await take(storage, "second")
    assert (await read_event(storage)).is_taken


async def test_leases_are_apart(storage: InboxStorage) -> None:
    """Each event has a lease of its own."""
    await keep_all(storage, "a", due_in=-2.0)
    await keep_all(storage, "b", due_in=-1.0)
    await take(storage, "first", limit=1, lease=LONG)
    await take(storage, "second", limit=1, lease=0)

    assert ["b"] == await take(storage, "third")


async def test_attempts_are_counted(storage: InboxStorage) -> None:
    """Each owner that takes an event is told one attempt more."""
    await keep_all(storage, EVENT)
    told = [
        found.attempts
        for number in range(4)
        for found in await storage.take_events(APP, f"owner-{number}", limit=1, lease=0)
    ]

    assert [1, 2, 3, 4] == told


async def test_take_repeated(storage: InboxStorage) -> None:
    """An owner that asks again gets its events again, and they are not counted again."""
    await keep_all(storage, "a", "b")
    first = await storage.take_events(APP, OWNER, limit=10, lease=LONG)
    again = await storage.take_events(APP, OWNER, limit=10, lease=LONG)

    assert {"a", "b"} == {*ids(first)} == {*ids(again)}
    assert [1, 1] == [found.attempts for found in again]
    assert [True, True] == [found.is_taken for found in again]
    assert [1, 1] == [found.attempts for found in await storage.events(APP)]


async def test_take_repeated_beyond_the_limit(storage: InboxStorage) -> None:
    """An owner that asks again gets its events, and others up to the limit of all together."""
    await keep_all(storage, "a")
    assert ["a"] == await take(storage, limit=2)
    await keep_all(storage, "b", due_in=-2.0)
    await keep_all(storage, "c", due_in=-1.0)

    assert {"a", "b"} == {*await take(storage, limit=2)}
    assert {"a", "b"} == {*await take(storage, limit=2)}
    assert ["c"] == await take(storage, "another")
    assert [1, 1, 1] == [found.attempts for found in await storage.events(APP)]


async def test_take_repeated_counts_the_lease_anew(storage: InboxStorage) -> None:
    """An owner that asks again gets its events for the whole lease."""
    await keep_all(storage, EVENT)
    await take(storage, lease=LONG)
    (again,) = await storage.take_events(APP, OWNER, limit=1, lease=3600.0)

    assert 3600.0 >= again.due_in > LONG
    assert (await read_event(storage)).due_in > LONG


@each(
    "owners",
    {
        "case": ("owner", "Owner"),
        "space behind": ("owner", "owner "),
        "Unicode form": ("\u00e9", "e\u0301"),
        "beginning": ("owner", "own"),
        "wildcard": ("owner", "%"),
    },
)
async def test_take_of_one_owner(storage: InboxStorage, owners: tuple[str, str]) -> None:
    """Owners whose names only look alike are different owners, to every method."""
    one, other = owners
    await keep_all(storage, EVENT)
    await take(storage, one)

    assert [] == await take(storage, other)
    assert not await storage.renew_event(APP, EVENT, other, lease=0, outcomes="")
    assert not await storage.postpone_event(APP, EVENT, other, delay=0, outcomes="")
    assert not await storage.finish_event(APP, EVENT, other, keep=LONG, outcomes="")
    assert await storage.renew_event(APP, EVENT, one, lease=LONG, outcomes="")


async def test_take_of_another_app(storage: InboxStorage) -> None:
    """An app takes its own events, and an owner of the same name in another app is another."""
    await storage.add_event(event(app_id="one"))
    await storage.add_event(event(app_id="two"))

    assert [] == await take(storage, app_id="three")
    assert [EVENT] == await take(storage, app_id="one")
    assert not await storage.renew_event("two", EVENT, OWNER, lease=LONG, outcomes="")
    assert 0 == (await read_event(storage, app_id="two")).attempts
    assert [EVENT] == await take(storage, app_id="two")


async def test_ended_events_are_not_taken(storage: InboxStorage) -> None:
    """Done, dead and dropped events are taken no more, though their leases are over."""
    await keep_all(storage, "a", "b", "c", "d")
    await take(storage, lease=0)
    await done(storage, "a")
    await dead(storage, "b")
    await storage.drop_event(APP, "c", keep=LONG)

    assert ["d"] == await take(storage, "another", lease=0)
    assert ["d"] == await take(storage)


async def _take_all(storage: InboxStorage, owner: str) -> list[EventRecord]:
    """Take five at a time, each time as another owner, until nothing is due."""
    taken: list[EventRecord] = []
    while found := await storage.take_events(APP, f"{owner}-{len(taken)}", limit=5, lease=LONG):
        taken += found
    return taken


async def test_takers_at_once(storage: InboxStorage) -> None:
    """If ten callers take events at once, each event goes to exactly one caller."""
    await together(*[partial(keep_all, storage, name) for name in _MANY])
    taken = await together(*[partial(_take_all, storage, f"owner-{n}") for n in range(10)])
    found = [one for some in taken for one in some]

    assert _MANY == sorted(ids(found))
    assert [1] * len(_MANY) == [one.attempts for one in found]


async def test_lapsed_lease_has_one_taker(storage: InboxStorage) -> None:
    """If twenty callers take an event whose lease has ended, exactly one gets it."""
    await keep_all(storage, EVENT)
    await take(storage, lease=0)
    taken = await together(*[partial(take, storage, f"next-{n}") for n in range(20)])

    assert [EVENT] == [name for names in taken for name in names]
    assert 2 == (await read_event(storage)).attempts


async def test_take_beside_adding(storage: InboxStorage) -> None:
    """Events that are added while others are taken are all taken, each once."""
    taken: list[str] = []

    async def add(name: str) -> None:
        await keep_all(storage, name)
        taken.extend(await take(storage, f"owner-{name}", limit=2))

    await together(*[partial(add, name) for name in _MANY])
    taken += await take(storage, "last")

    assert _MANY == sorted(taken)
