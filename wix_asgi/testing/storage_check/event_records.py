"""Events for the tests of an inbox, and functions that keep, take and read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from wix_asgi.models import EventRecord
from wix_asgi.storage import EventStorage, Storage
from wix_asgi.testing.storage_check.records import APP, SITE

__all__ = [
    "EVENT",
    "LONG",
    "OWNER",
    "PAYLOAD",
    "SHORT",
    "InboxStorage",
    "dead",
    "done",
    "event",
    "ids",
    "is_taken_by",
    "keep_all",
    "read_event",
    "take",
    "timeless_event",
]

EVENT: Final = "00000000000000000000000000000001"
OWNER: Final = "owner-1"
PAYLOAD: Final = b"sealed payload"
LONG: Final = 60.0  # seconds; longer than any case runs
SHORT: Final = 0.05  # seconds; over soon


class InboxStorage(Storage, EventStorage, Protocol):
    """A storage with an inbox."""


def event(event_id: str = EVENT, *, app_id: str = APP, **fields: Any) -> EventRecord:
    """Return an event that is due, and has no alias; `fields` replace its fields."""
    values: dict[str, Any] = {
        "event_type": "wix.contacts.v4.contact_created",
        "instance_id": SITE,
        "payload": PAYLOAD,
        "issued_at": datetime(2026, 11, 29, 10, 20, 30, tzinfo=UTC),
    }
    return EventRecord(app_id=app_id, event_id=event_id, **(values | fields))


def timeless_event(stored: EventRecord | None) -> EventRecord | None:
    """Return an event without the fields that depend on the time of writing or reading."""
    return stored and replace(stored, received_at=None, due_in=0.0, expires_in=None)


async def keep_all(storage: InboxStorage, *event_ids: str, **fields: Any) -> None:
    """Keep an event for each of the ids, in their order, with `fields`."""
    for event_id in event_ids:
        assert await storage.add_event(event(event_id, **fields))


async def take(
    storage: InboxStorage,
    owner: str = OWNER,
    *,
    limit: int = 100,
    lease: float = LONG,
    app_id: str = APP,
) -> list[str]:
    """Take due events, and return their ids."""
    return ids(await storage.take_events(app_id, owner, limit=limit, lease=lease))


async def is_taken_by(storage: InboxStorage, owner: str) -> bool:
    """Return whether `owner` gets a due event."""
    return bool(await take(storage, owner))


async def read_event(
    storage: InboxStorage, event_id: str = EVENT, *, app_id: str = APP
) -> EventRecord:
    """Return an event, which must be known."""
    stored = await storage.event(app_id, event_id)
    assert stored is not None
    return stored


async def done(storage: InboxStorage, event_id: str = EVENT) -> None:
    """Finish an event that `OWNER` has taken."""
    assert await storage.finish_event(APP, event_id, OWNER, keep=LONG, outcomes="done")


async def dead(storage: InboxStorage, event_id: str = EVENT, *, keep: float = LONG) -> None:
    """Make an event that `OWNER` has taken a dead letter."""
    assert await storage.finish_event(
        APP, event_id, OWNER, keep=keep, outcomes="failed", failure="ValueError", is_dead=True
    )


def ids(events: Sequence[EventRecord]) -> list[str]:
    """Return the ids of events, in their order."""
    return [found.event_id for found in events]
