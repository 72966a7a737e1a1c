"""An event is known by either of its two keys, which are exact; of many copies one is kept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import product
from typing import Final

from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.event_records import (
    EVENT,
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
)
from wix_asgi.testing.storage_check.key_values import LOOKALIKES, SPLITS
from wix_asgi.testing.storage_check.records import APP
from wix_asgi.testing.storage_check.tasks import together

__all__ = [
    "test_alias_is_no_event_id",
    "test_aliases_are_exact",
    "test_aliases_of_apps_are_apart",
    "test_copy_changes_nothing",
    "test_copy_under_an_alias_changes_nothing",
    "test_copy_with_another_alias",
    "test_crossing_keys",
    "test_empty_alias_is_an_alias",
    "test_event_ids_are_exact",
    "test_events_of_apps_are_apart",
    "test_events_without_an_alias",
    "test_key_of_an_event_is_a_pair",
    "test_known_by_its_alias",
    "test_known_by_its_id",
    "test_one_of_fifty_is_kept",
    "test_one_of_fifty_is_kept_under_an_alias",
    "test_one_of_fifty_is_kept_under_either_key",
]

_COPIES: Final = 50


async def _wait(storage: InboxStorage) -> None:
    """Leave the event waiting."""


async def _be_taken(storage: InboxStorage) -> None:
    await take(storage)


async def _lapse(storage: InboxStorage) -> None:
    await take(storage, lease=0)


async def _be_postponed(storage: InboxStorage) -> None:
    await take(storage)
    assert await storage.postpone_event(APP, EVENT, OWNER, delay=LONG, outcomes="")


async def _be_done(storage: InboxStorage) -> None:
    await take(storage)
    await done(storage)


async def _be_dead(storage: InboxStorage) -> None:
    await take(storage)
    await dead(storage)


async def _be_retried(storage: InboxStorage) -> None:
    await _be_dead(storage)
    assert await storage.retry_event(APP, EVENT, outcomes="")


async def _be_dropped(storage: InboxStorage) -> None:
    assert await storage.drop_event(APP, EVENT, keep=LONG)


_FATES: Final[dict[str, Callable[[InboxStorage], Awaitable[None]]]] = {
    "waiting": _wait,
    "taken": _be_taken,
    "at the end of its lease": _lapse,
    "postponed": _be_postponed,
    "done": _be_done,
    "a dead letter": _be_dead,
    "retried": _be_retried,
    "dropped": _be_dropped,
}


@each("become", _FATES)
async def test_known_by_its_id(
    storage: InboxStorage, become: Callable[[InboxStorage], Awaitable[None]]
) -> None:
    """A second event with the same id is not kept, in any state of the first."""
    await keep_all(storage, EVENT, alias="one")
    await become(storage)

    assert not await storage.add_event(event(alias="another"))
    assert not await storage.add_event(event())
    assert [EVENT] == ids(await storage.events(APP))


@each("become", _FATES)
async def test_known_by_its_alias(
    storage: InboxStorage, become: Callable[[InboxStorage], Awaitable[None]]
) -> None:
    """A second event with the same alias is not kept, in any state of the first."""
    await keep_all(storage, EVENT, alias="one")
    await become(storage)

    assert not await storage.add_event(event("another", alias="one"))
    assert await storage.event(APP, "another") is None
    assert [EVENT] == ids(await storage.events(APP))


async def test_copy_changes_nothing(storage: InboxStorage) -> None:
    """An event that is known stays as it is, with its payload, its attempts and its lease."""
    await keep_all(storage, EVENT, alias="one")
    await take(storage)
    before = await read_event(storage)
    copy = event(alias="one", payload=b"another", event_type="another", outcomes="another")

    assert not await storage.add_event(copy)
    after = await read_event(storage)
    assert before.received_at == after.received_at
    assert (before.payload, before.event_type, before.outcomes, 1, True) == (
        after.payload,
        after.event_type,
        after.outcomes,
        after.attempts,
        after.is_taken,
    )


async def test_copy_under_an_alias_changes_nothing(storage: InboxStorage) -> None:
    """A copy that is known by its alias alone leaves nothing: its own id is free for others."""
    await keep_all(storage, EVENT, alias="one")

    assert not await storage.add_event(event("another", alias="one", payload=b"another"))
    assert (await read_event(storage)).payload != b"another"
    assert await storage.add_event(event("another", alias="two"))


async def test_copy_with_another_alias(storage: InboxStorage) -> None:
    """The alias of a copy that was not kept is free for others."""
    await keep_all(storage, EVENT, alias="one")

    assert not await storage.add_event(event(alias="two"))
    assert await storage.add_event(event("another", alias="two"))
    assert "one" == (await read_event(storage)).alias


async def test_events_without_an_alias(storage: InboxStorage) -> None:
    """Events without an alias are no copies of each other."""
    await keep_all(storage, "a", "b", "c", alias=None)

    assert [None] * 3 == [found.alias for found in await storage.events(APP)]


async def test_empty_alias_is_an_alias(storage: InboxStorage) -> None:
    """An empty alias is a key as any other, and not the same as none."""
    await keep_all(storage, "a", alias=None)

    assert await storage.add_event(event("b", alias=""))
    assert not await storage.add_event(event("c", alias=""))


async def test_alias_is_no_event_id(storage: InboxStorage) -> None:
    """An id is compared with ids, and an alias with aliases."""
    await keep_all(storage, "one")

    assert await storage.add_event(event("two", alias="one"))
    assert await storage.add_event(event("three", alias="two"))
    assert await storage.event(APP, "three") is not None
    assert await storage.event(APP, "four") is None


@each("keys", LOOKALIKES)
async def test_event_ids_are_exact(storage: InboxStorage, keys: tuple[str, str]) -> None:
    """Ids of events with any difference are different ids, to every method."""
    one, other = keys
    await keep_all(storage, one)
    assert await storage.event(APP, other) is None
    assert not await storage.drop_event(APP, other, keep=LONG)
    assert not await storage.retry_event(APP, other, outcomes="retried")
    assert not await storage.reseal_event(APP, other, b"resealed", expected=event().payload or b"")
    assert [one] == await take(storage)
    assert not await storage.renew_event(APP, other, OWNER, lease=0, outcomes="renewed")
    assert not await storage.finish_event(APP, other, OWNER, keep=LONG, outcomes="finished")
    assert not await storage.postpone_event(APP, other, OWNER, delay=LONG, outcomes="postponed")

    assert await storage.add_event(event(other))
    assert [other] == await take(storage, "another")
    assert await storage.drop_event(APP, one, keep=LONG)
    assert "" == (await read_event(storage, other)).outcomes
    assert {one, other} == {*ids(await storage.events(APP))}


@each("keys", LOOKALIKES)
async def test_aliases_are_exact(storage: InboxStorage, keys: tuple[str, str]) -> None:
    """Aliases with any difference are different aliases, and come back as they were written."""
    one, other = keys

    assert await storage.add_event(event("a", alias=one))
    assert await storage.add_event(event("b", alias=other))
    assert not await storage.add_event(event("c", alias=one))
    assert not await storage.add_event(event("d", alias=other))
    assert [one, other] == [found.alias for found in await storage.events(APP)]


@each("keys", LOOKALIKES)
async def test_events_of_apps_are_apart(storage: InboxStorage, keys: tuple[str, str]) -> None:
    """The same event of another app is another event, even if the ids of the apps look alike."""
    one, other = keys
    assert await storage.add_event(event(app_id=one))
    assert await storage.event(other, EVENT) is None
    assert [] == await take(storage, app_id=other)
    assert 0 == (await storage.count_events(other, limit=10)).waiting

    assert await storage.add_event(event(app_id=other))
    assert [EVENT] == await take(storage, app_id=one)
    assert await storage.drop_event(one, EVENT, keep=LONG)
    assert [EVENT] == await take(storage, app_id=other)


async def test_aliases_of_apps_are_apart(storage: InboxStorage) -> None:
    """The same alias of another app is another alias."""
    assert await storage.add_event(event("a", app_id="one", alias="alias"))
    assert await storage.add_event(event("b", app_id="two", alias="alias"))
    assert not await storage.add_event(event("c", app_id="two", alias="alias"))


@each("keys", SPLITS)
async def test_key_of_an_event_is_a_pair(
    storage: InboxStorage, keys: tuple[tuple[str, str], tuple[str, str]]
) -> None:
    """The key of an event is the pair of app id and event id, not their concatenation."""
    (app, one), (other_app, other) = keys

    assert await storage.add_event(event(one, app_id=app, alias=one, payload=b"one"))
    assert await storage.add_event(event(other, app_id=other_app, alias=other, payload=b"other"))
    assert b"one" == (await read_event(storage, one, app_id=app)).payload
    assert b"other" == (await read_event(storage, other, app_id=other_app)).payload


async def test_one_of_fifty_is_kept(storage: InboxStorage) -> None:
    """If fifty callers add an event with one id at once, exactly one succeeds, and it is kept."""
    copies = [event(payload=b"%d" % number) for number in range(_COPIES)]
    added = await together(*[partial(storage.add_event, copy) for copy in copies])
    kept = (await read_event(storage)).payload

    assert [kept] == [copy.payload for copy, won in zip(copies, added, strict=True) if won]


async def test_one_of_fifty_is_kept_under_an_alias(storage: InboxStorage) -> None:
    """If fifty callers add events with one alias at once, exactly one succeeds, and it is kept."""
    names = [f"{number:02}" for number in range(_COPIES)]
    added = await together(
        *[partial(storage.add_event, event(name, alias="alias")) for name in names]
    )

    assert ids(await storage.events(APP)) == [
        name for name, won in zip(names, added, strict=True) if won
    ]
    assert 1 == sum(added)


async def test_one_of_fifty_is_kept_under_either_key(storage: InboxStorage) -> None:
    """If copies that share an id or an alias are added at once, exactly one succeeds."""
    names = [EVENT if number % 2 else f"{number:02}" for number in range(_COPIES)]
    added = await together(
        *[partial(storage.add_event, event(name, alias="alias")) for name in names]
    )

    assert 1 == sum(added)
    assert ids(await storage.events(APP)) == [
        name for name, won in zip(names, added, strict=True) if won
    ]


async def test_crossing_keys(storage: InboxStorage) -> None:
    """Callers whose keys cross each other all get an answer, and no key is kept twice."""
    pairs = [*product("ab", "xy")] * 5
    added = await together(
        *[partial(storage.add_event, event(one, alias=other)) for one, other in pairs]
    )
    kept = await storage.events(APP)

    assert sum(added) == len(kept)
    assert len(kept) == len({found.event_id for found in kept})
    assert len(kept) == len({found.alias for found in kept})
    assert {"a", "b"} >= {found.event_id for found in kept}
    assert len(kept) >= 1
