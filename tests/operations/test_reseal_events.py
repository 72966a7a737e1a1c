"""Sealing the inbox anew, on every backend."""

from __future__ import annotations

import functools

import anyio

from tests.operations.events import end, event, id_of, inbox_in, keep
from tests.operations.sealed import LOST, NEW, OLD
from wix_asgi.models import EventState
from wix_asgi.operations.reseal_events import reseal_events
from wix_asgi.operations.rotate_keys import Rotation
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import EventStorage, Storage
from wix_asgi.webhooks.inbox import Inbox, KeptEvent

ROUNDS = 10


async def texts(inbox: Inbox, *names: str) -> list[str]:
    """Return the unsealed texts of events."""
    found = [await inbox.find(id_of(name)) for name in names]
    return [inbox.unseal(kept) for kept in found if kept is not None]


async def test_waiting_events_and_dead_letters_are_resealed(source: Storage) -> None:
    """Afterwards the new key alone opens all of them, over several pages (R33)."""
    names = [f"event-{number}" for number in range(120)]
    await keep(inbox_in(source, OLD), *names)
    await end(inbox_in(source, OLD), names[7], is_dead=True, failure="ValueError")
    told: list[int] = []
    inbox = inbox_in(source, NEW, OLD)
    first = await reseal_events(inbox, report=lambda now: told.append(now.seen))
    dead = await inbox.find(id_of(names[7]))

    assert Rotation(resealed=120) == first
    assert list(range(1, 121)) == told
    assert Rotation(current=120) == await reseal_events(inbox)
    assert [event(name).text for name in names] == await texts(inbox_in(source, NEW), *names)
    assert dead is not None
    assert (EventState.DEAD, 1, "ValueError") == (
        dead.record.state,
        dead.record.attempts,
        dead.record.failure,
    )


async def test_done_events_have_nothing_to_reseal(source: Storage) -> None:
    """They have no payload, and are not counted."""
    await keep(inbox_in(source, LOST), "first")
    await end(inbox_in(source, LOST), "first")

    assert Rotation() == await reseal_events(inbox_in(source, NEW, OLD))


async def test_events_of_a_lost_key_are_counted(source: Storage) -> None:
    """The lost key is named by its id, with the number of its events, which stay (R33)."""
    await keep(inbox_in(source, LOST), "first", "second")
    await keep(inbox_in(source, OLD), "third")
    rotation = await reseal_events(inbox_in(source, NEW, OLD))

    assert Rotation(resealed=1, unknown={Vault([LOST]).newest_id: 2}) == rotation
    assert [event("first").text] == await texts(inbox_in(source, LOST), "first")


async def test_events_that_were_tampered_with_are_counted(source: Storage) -> None:
    """A payload of another event, under any key of the ring, is counted and stays (R32)."""
    for number, keys in enumerate(([OLD, NEW], [NEW])):
        inbox = inbox_in(source, *keys)
        names = [f"{kind}-{number}" for kind in ("good", "moved")]
        await keep(inbox, *names)
        good, moved = [await inbox.find(id_of(name)) for name in names]
        assert good is not None
        assert good.record.payload is not None
        assert moved is not None
        assert moved.record.payload is not None
        assert isinstance(source, EventStorage)
        await source.reseal_event(
            moved.record.app_id,
            moved.id,
            good.record.payload,
            expected=moved.record.payload,
        )

    assert Rotation(resealed=1, current=1, damaged=2) == await reseal_events(
        inbox_in(source, NEW, OLD)
    )


async def test_events_that_change_meanwhile_lose_nothing(source: Storage) -> None:
    """Workers that take, postpone and end events beside rotations do so as without (R33)."""
    names = [f"event-{number}" for number in range(24)]
    inbox = inbox_in(source, NEW, OLD)
    await keep(inbox_in(source, OLD), *names)
    opened: list[str] = []

    async def work(worker: int) -> None:
        for number in range(ROUNDS):
            owner = f"{worker}-{number}"
            for kept in await inbox.take(owner, limit=8, lease=60.0):
                opened.append(inbox.unseal(kept))
                if number == ROUNDS - 1:
                    await inbox.finish(kept, owner, keep=60.0, outcomes="", is_dead=worker == 1)
                else:
                    await inbox.postpone(kept, owner, delay=0.0, outcomes="")

    async with anyio.create_task_group() as tasks:
        for worker in range(2):
            tasks.start_soon(work, worker)
        for _ in range(2):
            tasks.start_soon(functools.partial(reseal_events, inbox))
    rotation = await reseal_events(inbox)
    left = [kept async for kept in inbox.all() if kept.record.payload is not None]

    assert 0 == rotation.unreadable
    assert len(left) == rotation.seen
    assert {event(name).text for name in names} >= set(opened)
    assert all(inbox.is_newest(kept) for kept in left)


class _Meanwhile(Inbox):
    """An inbox in which an event changes between its reading and its writing."""

    async def reseal(self, kept: KeptEvent) -> bool:
        """End the event as done, or have another rotation reseal it, before its write."""
        if kept.id == id_of("done"):
            await end(self, "done")
        elif kept.id == id_of("resealed"):
            await super().reseal(kept)
        return await super().reseal(kept)


async def test_events_written_in_between_are_read_again(source: Storage) -> None:
    """What was done, or resealed by another rotation, counts as sealed already (R33)."""
    await keep(inbox_in(source, OLD), "done", "resealed", "quiet")
    inbox = inbox_in(source, NEW, OLD)
    meanwhile = _Meanwhile(inbox._app_id, inbox._storage, inbox._vault)

    assert Rotation(resealed=1, current=2) == await reseal_events(meanwhile)
    assert [event("resealed").text] == await texts(inbox_in(source, NEW), "resealed")


class _Retried(Inbox):
    """An inbox whose dead letter is retried after the waiting events were read."""

    has_retried = False

    async def reseal(self, kept: KeptEvent) -> bool:
        """Retry the dead letter with the first write."""
        dead = await self.find(id_of("dead"))
        if not self.has_retried and dead is not None:
            self.has_retried = True
            await self.retry(dead, outcomes="")
        return await super().reseal(kept)


async def test_letters_retried_in_between_are_resealed(source: Storage) -> None:
    """No event is missed because it moves from the dead letters to the waiting events (R33)."""
    names = [f"event-{number}" for number in range(3)]
    await keep(inbox_in(source, OLD), "dead")
    await end(inbox_in(source, OLD), "dead", is_dead=True)
    await keep(inbox_in(source, OLD), *names)
    inbox = inbox_in(source, NEW, OLD)
    retried = _Retried(inbox._app_id, inbox._storage, inbox._vault)

    assert Rotation(resealed=4) == await reseal_events(retried)
    assert [event("dead").text] == await texts(inbox_in(source, NEW), "dead")
