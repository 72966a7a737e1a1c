"""A taken event is its owner's to renew and to give back, until somebody else takes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.event_records import (
    EVENT,
    LONG,
    OWNER,
    SHORT,
    InboxStorage,
    dead,
    done,
    ids,
    is_taken_by,
    keep_all,
    read_event,
    take,
    timeless_event,
)
from wix_asgi.testing.storage_check.records import APP
from wix_asgi.testing.storage_check.tasks import together, until

__all__ = [
    "test_call_after_another_owner",
    "test_call_after_the_lease",
    "test_call_for_an_ended_event",
    "test_call_for_an_event_of_another_app",
    "test_call_for_an_event_that_nobody_has",
    "test_call_for_an_unknown_event",
    "test_call_of_another_owner",
    "test_postpone",
    "test_postpone_has_one_winner",
    "test_postpone_uncounted",
    "test_postpone_without_a_failure",
    "test_postponed_again",
    "test_postponed_comes_after_the_due",
    "test_postponed_is_due_after_its_delay",
    "test_postponed_is_nobodys",
    "test_renew",
    "test_renew_after_the_lease",
    "test_renew_beside_a_taker",
    "test_renew_notes_outcomes",
    "test_renew_shortens",
]

_Call = Callable[[InboxStorage, str, str, str], Awaitable[bool]]

_CALLS: Final[dict[str, _Call]] = {
    "renew": lambda storage, app_id, event_id, owner: storage.renew_event(
        app_id, event_id, owner, lease=3600.0, outcomes="renewed"
    ),
    "finish": lambda storage, app_id, event_id, owner: storage.finish_event(
        app_id, event_id, owner, keep=LONG, outcomes="finished"
    ),
    "give up": lambda storage, app_id, event_id, owner: storage.finish_event(
        app_id, event_id, owner, keep=LONG, outcomes="failed", failure="ValueError", is_dead=True
    ),
    "postpone": lambda storage, app_id, event_id, owner: storage.postpone_event(
        app_id, event_id, owner, delay=3600.0, outcomes="postponed", failure="ValueError"
    ),
    "give back": lambda storage, app_id, event_id, owner: storage.postpone_event(
        app_id, event_id, owner, delay=3600.0, outcomes="postponed", is_counted=False
    ),
}


async def test_renew(storage: InboxStorage) -> None:
    """A renewed lease lasts from now on, counts no attempt, and keeps other owners away."""
    await keep_all(storage, EVENT)
    await take(storage, lease=LONG)

    assert await storage.renew_event(APP, EVENT, OWNER, lease=3600.0, outcomes="")
    found = await read_event(storage)
    assert 3600.0 >= found.due_in > LONG
    assert (1, True) == (found.attempts, found.is_taken)
    assert [] == await take(storage, "another")


async def test_renew_shortens(storage: InboxStorage) -> None:
    """A renewal counts the seconds of a lease anew, even if they become fewer."""
    await keep_all(storage, EVENT)
    await take(storage)

    assert await storage.renew_event(APP, EVENT, OWNER, lease=0, outcomes="")
    assert [EVENT] == await take(storage, "another")


async def test_renew_notes_outcomes(storage: InboxStorage) -> None:
    """The outcomes of a renewal are there for readers, and for the next owner after a crash."""
    await keep_all(storage, EVENT)
    await take(storage)

    assert await storage.renew_event(APP, EVENT, OWNER, lease=LONG, outcomes="one")
    assert await storage.renew_event(APP, EVENT, OWNER, lease=0, outcomes="one, two")
    assert "one, two" == (await read_event(storage)).outcomes
    (taken,) = await storage.take_events(APP, "another", limit=1, lease=LONG)
    assert "one, two" == taken.outcomes


async def test_renew_after_the_lease(storage: InboxStorage) -> None:
    """A late owner holds its event again with a renewal, if no other owner took it."""
    await keep_all(storage, EVENT)
    await take(storage, lease=0)

    assert await storage.renew_event(APP, EVENT, OWNER, lease=LONG, outcomes="")
    assert [] == await take(storage, "another")
    assert 1 == (await read_event(storage)).attempts


async def test_renew_beside_a_taker(storage: InboxStorage) -> None:
    """Of a late renewal and another owner at once one gets the event, and not both."""
    names = [f"event-{number}" for number in range(10)]
    for name in names:
        await keep_all(storage, name)
        await take(storage, lease=0)
        renewed, taken = await together(
            partial(storage.renew_event, APP, name, OWNER, lease=LONG, outcomes=""),
            partial(is_taken_by, storage, f"next-{name}"),
        )

        assert renewed is not taken
        assert 1 + taken == (await read_event(storage, name)).attempts
        await storage.drop_event(APP, name, keep=LONG)


async def test_postpone(storage: InboxStorage) -> None:
    """An event that is given back waits for its delay, with its outcomes and its failure."""
    await keep_all(storage, EVENT)
    await take(storage)

    assert await storage.postpone_event(
        APP, EVENT, OWNER, delay=3600.0, outcomes="one", failure="ValueError in two"
    )
    found = await read_event(storage)
    assert ("one", "ValueError in two", 1, False) == (
        found.outcomes,
        found.failure,
        found.attempts,
        found.is_taken,
    )
    assert 3600.0 >= found.due_in > LONG
    assert [] == await take(storage, "another")
    assert [] == await take(storage)


async def test_postpone_uncounted(storage: InboxStorage) -> None:
    """An attempt that is not counted leaves the number as it was before, for the next owner too."""
    await keep_all(storage, EVENT)
    await take(storage)
    assert await storage.postpone_event(APP, EVENT, OWNER, delay=0, outcomes="")
    await take(storage, "shut down")
    assert await storage.postpone_event(
        APP, EVENT, "shut down", delay=0, outcomes="", is_counted=False
    )
    between = (await read_event(storage)).attempts
    await take(storage, "next")

    assert (1, 2) == (between, (await read_event(storage)).attempts)


async def test_postpone_without_a_failure(storage: InboxStorage) -> None:
    """Where no failure is told, the failure noted before stays; the outcomes are the latest."""
    await keep_all(storage, EVENT)
    await take(storage)
    await storage.postpone_event(APP, EVENT, OWNER, delay=0, outcomes="a", failure="ValueError")
    await take(storage, "shut down")
    await storage.postpone_event(APP, EVENT, "shut down", delay=0, outcomes="b", is_counted=False)
    found = await read_event(storage)

    assert ("b", "ValueError") == (found.outcomes, found.failure)


async def test_postponed_is_due_after_its_delay(storage: InboxStorage) -> None:
    """A postponed event is taken again once its delay is over, as another attempt."""
    await keep_all(storage, EVENT)
    await take(storage)
    await storage.postpone_event(APP, EVENT, OWNER, delay=SHORT, outcomes="")

    async def is_due() -> bool:
        return [EVENT] == await take(storage, "another")

    await until(is_due)

    assert 2 == (await read_event(storage)).attempts


async def test_postponed_comes_after_the_due(storage: InboxStorage) -> None:
    """An event that is given back at once waits behind the events that are due for longer."""
    await keep_all(storage, "back", due_in=-9.0)
    await take(storage)
    await keep_all(storage, "waiting", due_in=-1.0)
    await storage.postpone_event(APP, "back", OWNER, delay=0, outcomes="")

    assert ["waiting"] == await take(storage, "first", limit=1)
    assert ["back"] == await take(storage, "second", limit=1)


async def test_postponed_again(storage: InboxStorage) -> None:
    """A call that is repeated changes nothing: no attempt is uncounted twice."""
    await keep_all(storage, EVENT, attempts=5)
    await take(storage)
    give_back = partial(storage.postpone_event, APP, EVENT, OWNER, outcomes="", is_counted=False)

    assert await give_back(delay=LONG)
    assert not await give_back(delay=0)
    assert 5 == (await read_event(storage)).attempts
    assert [] == await take(storage)


async def test_postpone_has_one_winner(storage: InboxStorage) -> None:
    """If an owner gives an event back ten times at once, one attempt is uncounted."""
    await keep_all(storage, EVENT, attempts=5)
    await take(storage)
    give_back = partial(_CALLS["give back"], storage, APP, EVENT, OWNER)

    assert [False] * 9 + [True] == sorted(await together(*[give_back] * 10))
    assert 5 == (await read_event(storage)).attempts


@each("call", _CALLS)
async def test_postponed_is_nobodys(storage: InboxStorage, call: _Call) -> None:
    """An event that was given back is not the event of its earlier owner any more."""
    await keep_all(storage, EVENT)
    await take(storage)
    await storage.postpone_event(APP, EVENT, OWNER, delay=0, outcomes="given back")

    await _is_refused(storage, partial(call, storage, APP, EVENT, OWNER))
    assert [EVENT] == await take(storage, "another")


@each("call", _CALLS)
async def test_call_of_another_owner(storage: InboxStorage, call: _Call) -> None:
    """A call of another owner returns False, and changes nothing."""
    await keep_all(storage, EVENT)
    await take(storage)

    await _is_refused(storage, partial(call, storage, APP, EVENT, "another"))
    assert [] == await take(storage, "another")


@each("call", _CALLS)
async def test_call_after_another_owner(storage: InboxStorage, call: _Call) -> None:
    """A call of a late owner, whose event another owner has taken, changes nothing."""
    await keep_all(storage, EVENT)
    await take(storage, "late", lease=0)
    await take(storage)

    await _is_refused(storage, partial(call, storage, APP, EVENT, "late"))
    assert await storage.renew_event(APP, EVENT, OWNER, lease=LONG, outcomes="")


@each("call", _CALLS)
async def test_call_after_the_lease(storage: InboxStorage, call: _Call) -> None:
    """An event is its owner's even after the lease, if no other owner took it."""
    await keep_all(storage, EVENT)
    await take(storage, lease=0)

    assert await call(storage, APP, EVENT, OWNER)
    assert [] == await take(storage, "another")


@each("call", _CALLS)
async def test_call_for_an_event_that_nobody_has(storage: InboxStorage, call: _Call) -> None:
    """A call for an event that was never taken changes nothing, under any name."""
    await keep_all(storage, EVENT)

    await _is_refused(storage, partial(call, storage, APP, EVENT, OWNER))
    await _is_refused(storage, partial(call, storage, APP, EVENT, ""))
    assert [EVENT] == await take(storage)


@each("call", _CALLS)
async def test_call_for_an_unknown_event(storage: InboxStorage, call: _Call) -> None:
    """A call for an event that is not known returns False, and makes none."""
    assert not await call(storage, APP, EVENT, OWNER)
    assert [] == ids(await storage.events(APP))


@each("call", _CALLS)
async def test_call_for_an_event_of_another_app(storage: InboxStorage, call: _Call) -> None:
    """A call for another app's event changes nothing."""
    await keep_all(storage, EVENT)
    await take(storage)

    await _is_refused(storage, partial(call, storage, "another", EVENT, OWNER))


@each("call", _CALLS)
async def test_call_for_an_ended_event(storage: InboxStorage, call: _Call) -> None:
    """A call for an event that has ended changes nothing, also if its owner ended it."""
    await keep_all(storage, "a", "b", "c")
    await take(storage)
    await done(storage, "a")
    await dead(storage, "b")
    await storage.drop_event(APP, "c", keep=LONG)

    for event_id in ("a", "b", "c"):
        await _is_refused(storage, partial(call, storage, APP, event_id, OWNER), event_id)
    assert [] == await take(storage, "another")


async def _is_refused(
    storage: InboxStorage, call: Callable[[], Awaitable[bool]], event_id: str = EVENT
) -> None:
    """Expect that the call returns False, and leaves the event as it is."""
    before = await read_event(storage, event_id)

    assert not await call()
    after = await read_event(storage, event_id)
    assert timeless_event(before) == timeless_event(after)
    assert before.received_at == after.received_at
    assert before.due_in >= after.due_in
    assert (before.expires_in or 0.0) >= (after.expires_in or 0.0)
