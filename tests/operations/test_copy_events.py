"""Copying the inbox, from any backend to any other."""

from __future__ import annotations

from typing import Any

from tests.limits import PATIENCE
from tests.operations.events import end, event, id_of, inbox_in, keep
from tests.operations.sealed import APP, NEW, OLD
from wix_asgi.models import EventRecord, EventState
from wix_asgi.operations.copy_events import EventCopy, copy_events
from wix_asgi.operations.reseal_events import reseal_events
from wix_asgi.storage import EventStorage, Storage
from wix_asgi.webhooks.outcomes import HandlerOutcome, Outcomes

BROKEN = str(Outcomes({"first": HandlerOutcome.RETURNED, "second": HandlerOutcome.GIVEN_UP}))


async def copy(source: Storage, target: Storage) -> EventCopy:
    """Copy the events of the app."""
    assert isinstance(source, EventStorage)
    assert isinstance(target, EventStorage)
    return await copy_events(APP, source, target)


async def record(storage: Storage, name: str) -> EventRecord:
    """Return an event as it is kept."""
    kept = await inbox_in(storage, OLD).find(id_of(name))
    assert kept is not None
    return kept.record


async def test_waiting_events_are_copied_as_they_are(source: Storage, target: Storage) -> None:
    """Over several pages, sealed as they are, with attempts, outcomes and the pause (R44)."""
    names = [f"event-{number}" for number in range(120)]
    inbox = inbox_in(source, OLD)
    await keep(inbox, "postponed")
    (kept,) = await inbox.take("owner", limit=1, lease=60.0)
    await inbox.postpone(kept, "owner", delay=600.0, outcomes=BROKEN, failure="ValueError")
    await keep(inbox, *names)
    done = await copy(source, target)
    before, after = await record(source, "postponed"), await record(target, "postponed")
    taken = await inbox_in(target, OLD).take("owner", limit=200, lease=60.0)

    assert EventCopy(passes=2, seen=121, same=121, written=121) == done
    assert {event(name).text for name in names} == {
        inbox_in(target, OLD).unseal(kept) for kept in taken
    }
    assert (before.payload, BROKEN, 1, "ValueError") == (
        after.payload,
        after.outcomes,
        after.attempts,
        after.failure,
    )
    assert 600 - PATIENCE < after.due_in <= 600


async def test_done_events_are_known_in_the_target(source: Storage, target: Storage) -> None:
    """Wix's repetitions of them are not run after a move, by either of their keys (R43)."""
    await keep(inbox_in(source, OLD), "first")
    await end(inbox_in(source, OLD), "first", keep=600.0)
    await copy(source, target)
    known = await record(target, "first")
    again = await inbox_in(target, OLD).add(event("first"), body=b"")

    assert (EventState.DONE, None) == (known.state, known.payload)
    assert known.expires_in is not None
    assert 600 - PATIENCE < known.expires_in <= 600
    assert not again


async def test_dead_letters_keep_their_outcomes(source: Storage, target: Storage) -> None:
    """They wait for a worker, with an outcome for each handler: none is called again (R44)."""
    await keep(inbox_in(source, OLD), "first")
    await end(inbox_in(source, OLD), "first", is_dead=True, outcomes=BROKEN, failure="ValueError")
    await copy(source, target)
    after = await record(target, "first")

    assert (EventState.WAITING, BROKEN, "ValueError") == (
        after.state,
        after.outcomes,
        after.failure,
    )


async def test_later_copies_bring_changes(source: Storage, target: Storage) -> None:
    """Events that ended, changed or came since the copy before are brought up to date (R44)."""
    await keep(inbox_in(source, OLD), "done", "changed", "same")
    await copy(source, target)
    await end(inbox_in(source, OLD), "done")
    inbox = inbox_in(source, OLD)
    for kept in await inbox.take("owner", limit=5, lease=60.0):
        outcomes = BROKEN if kept.id == id_of("changed") else ""
        await inbox.postpone(kept, "owner", delay=0.0, outcomes=outcomes)
    await keep(inbox, "new")
    done = await copy(source, target)

    assert EventCopy(passes=2, seen=4, same=4, written=3) == done
    assert EventState.DONE is (await record(target, "done")).state
    assert BROKEN == (await record(target, "changed")).outcomes
    assert EventState.WAITING is (await record(target, "new")).state


async def test_rotated_seals_are_copied(source: Storage, target: Storage) -> None:
    """After a rotation in the source, another copy has the new seals, too (R33)."""
    await keep(inbox_in(source, OLD), "first")
    await copy(source, target)
    await reseal_events(inbox_in(source, NEW, OLD))
    done = await copy(source, target)
    kept = await inbox_in(target, NEW).find(id_of("first"))

    assert EventCopy(passes=2, seen=1, same=1, written=1) == done
    assert kept is not None
    assert event("first").text == inbox_in(target, NEW).unseal(kept)


async def test_events_of_the_target_stay(source: Storage, target: Storage) -> None:
    """Events that were handled there are not begun again; others are left alone (R43)."""
    await keep(inbox_in(source, OLD), "handled")
    await keep(inbox_in(target, OLD), "handled", "other", "between")
    await end(inbox_in(target, OLD), "handled")

    assert EventCopy(passes=1, seen=1, kept=1) == await copy(source, target)
    assert EventState.DONE is (await record(target, "handled")).state
    assert EventState.WAITING is (await record(target, "other")).state


async def test_second_keys_are_known_in_the_target(source: Storage, target: Storage) -> None:
    """An event that the target has by its second key alone is not copied (R43)."""
    known = event("first")
    assert await inbox_in(target, OLD).add(known, body=b"")
    await keep(inbox_in(source, OLD), "same-data")
    assert isinstance(source, EventStorage)
    ours = await record(source, "same-data")
    theirs = await record(target, "first")
    assert await source.drop_event(APP, ours.event_id, keep=-1.0)
    await source.purge_events()
    twin = EventRecord(
        app_id=APP,
        event_id=ours.event_id,
        alias=theirs.alias,
        event_type=ours.event_type,
        instance_id=ours.instance_id,
        payload=b"sealed",
        issued_at=ours.issued_at,
    )
    assert await source.add_event(twin)

    assert EventCopy(passes=1, seen=1, kept=1) == await copy(source, target)


async def test_an_app_that_never_rests_is_told_of(source: Storage, target: Storage) -> None:
    """Where events come during each pass, the copy gives up after ten, and is not complete."""
    names = iter(range(100))

    async def come(_: object = None) -> None:
        await keep(inbox_in(source, OLD), f"event-{next(names)}")

    class Busy:
        """The source, in which another event comes before each page."""

        async def events(self, *arguments: Any, **options: Any) -> object:
            await come()
            assert isinstance(source, EventStorage)
            return await source.events(*arguments, **options)

    assert isinstance(target, EventStorage)
    busy: Any = Busy()
    done = await copy_events(APP, busy, target)

    assert 10 == done.passes
    assert not done.is_complete
