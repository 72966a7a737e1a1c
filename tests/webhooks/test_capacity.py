"""How full the inbox may be, and how seldom that is counted."""

from __future__ import annotations

import logging

import anyio
import pytest

from tests.clocks import ManualClock
from tests.webhooks.posting import FlakyStorage, Stage, numbered
from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import EventCounts
from wix_asgi.sealing.vault import Vault
from wix_asgi.webhooks._capacity import Capacity
from wix_asgi.webhooks.inbox import Inbox
from wix_asgi.webhooks.policy import WebhookPolicy

POLICY = WebhookPolicy(max_waiting=10, count_after=4)


class Counted(FlakyStorage):
    """A storage whose number of waiting events a test sets."""

    waiting = 0

    async def count_events(self, app_id: str, *, limit: int) -> EventCounts:
        await super().count_events(app_id, limit=limit)
        return EventCounts(waiting=min(self.waiting, limit))


def capacity(storage: Counted, clock: ManualClock, policy: WebhookPolicy = POLICY) -> Capacity:
    """Return the capacity of an inbox in `storage`."""
    return Capacity(Inbox("an-app", storage, Vault([bytes(32)])), policy, clock=clock)


async def test_a_full_inbox_is_told_to_wix(caplog: pytest.LogCaptureFixture) -> None:
    """At the bound of waiting events a new one is answered 503, with one WARNING."""
    stage = Stage(policy=WebhookPolicy(max_waiting=3))
    statuses = [(await stage.post(numbered(number))).status for number in range(6)]
    (record,) = caplog.records

    assert [200, 200, 200, 503, 503, 503] == statuses
    assert 3 == len(await stage.kept())
    assert logging.WARNING == record.levelno
    assert "503: the inbox is full, with 3 waiting events (Wix sends it again)" in record.message


async def test_an_inbox_that_empties_takes_events_again() -> None:
    """A full inbox is counted again after a second, and has room once events have ended."""
    storage, clock = Counted(), ManualClock()
    room = capacity(storage, clock)
    storage.waiting = 10

    assert not await room.has_room()
    storage.waiting = 9
    assert not await room.has_room()
    clock.advance(POLICY.count_interval)
    assert await room.has_room()
    assert 2 == storage.counted


async def test_a_calm_inbox_is_seldom_counted() -> None:
    """While less than half of the inbox is full it is counted each hundred seconds."""
    storage, clock = Counted(), ManualClock()
    room = capacity(storage, clock)
    storage.waiting = 4
    for _ in range(100):
        assert await room.has_room()
        clock.advance(1)

    assert 1 == storage.counted
    assert await room.has_room()
    assert 2 == storage.counted


async def test_half_full_it_is_counted_each_second() -> None:
    """From half of the bound on the inbox is counted once a second, as other processes add, too."""
    storage, clock = Counted(), ManualClock()
    room = capacity(storage, clock)
    storage.waiting = 5
    for _ in range(10):
        assert await room.has_room()
        assert await room.has_room()
        clock.advance(1)

    assert 10 == storage.counted


async def test_it_is_counted_after_many_new_events() -> None:
    """After some events of this process the inbox is counted, however soon."""
    storage, clock = Counted(), ManualClock()
    room = capacity(storage, clock)
    for _ in range(9):
        assert await room.has_room()
        room.note_added()

    assert 3 == storage.counted


async def test_one_count_runs_at_a_time() -> None:
    """While a count is under way, the latest one answers."""
    storage, clock = Counted(), ManualClock()
    room = capacity(storage, clock)
    gate = storage.gates["count"] = anyio.Event()
    found = []

    async def ask() -> None:
        found.append(await room.has_room())

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        room.note_added()
        assert await room.has_room()
        gate.set()

    assert [True] == found
    assert 1 == storage.counted


@pytest.mark.parametrize(("waiting", "has_room"), [(4, True), (10, False)], ids=["room", "full"])
async def test_a_count_that_fails_changes_nothing(
    waiting: int, has_room: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the storage cannot count, the latest count stays, and the log says so once a minute."""
    storage, clock = Counted(), ManualClock()
    room = capacity(storage, clock)
    storage.waiting = waiting
    before = await room.has_room()
    storage.errors["count"] = StorageUnavailable("too slow")
    for _ in range(3):
        clock.advance(POLICY.calm_count_interval / 4)
        await room.has_room()
    clock.advance(POLICY.calm_count_interval)
    after = await room.has_room()

    assert (has_room, has_room) == (before, after)
    assert "waiting events were not counted: too slow" in caplog.messages[0]
    assert len(caplog.messages) <= 3


async def test_an_inbox_that_was_never_counted_takes_events() -> None:
    """An event is kept though the storage cannot count."""
    stage = Stage()
    stage.storage.errors["count"] = StorageUnavailable("too slow")

    assert [200, 200] == await stage.statuses(numbered(1), numbered(2))
    assert 2 == len(await stage.kept())
    assert 1 == stage.storage.counted
