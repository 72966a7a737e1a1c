"""An event is kept with every field of it, and stays as it was written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from wix_asgi.models import EventState
from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.event_records import (
    EVENT,
    LONG,
    OWNER,
    InboxStorage,
    event,
    ids,
    keep_all,
    read_event,
    take,
    timeless_event,
)
from wix_asgi.testing.storage_check.key_values import LOOKALIKES
from wix_asgi.testing.storage_check.records import APP

__all__ = [
    "test_counted_attempts_are_kept",
    "test_event_begins_as_waiting",
    "test_event_due_later",
    "test_event_is_kept",
    "test_event_of_an_installation",
    "test_event_without_a_record",
    "test_failures_are_exact",
    "test_issued_at",
    "test_outcomes_are_exact",
    "test_payloads",
    "test_received_at_is_now",
    "test_types_and_sites_of_events_are_exact",
    "test_unknown_event",
]

_NOON: Final = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)
_TEXTS: Final = {
    "empty": "",
    "JSON": '{"app.handlers:on_contact": "done", "app.\\"quoted\\"": 3}',
    "Unicode form": "e\u0301",
    "beyond the BMP": "\U0001f600",
    "lines": "one\ntwo\r\n",
    "capitals and spaces": " Done ",
    "quotes and wildcards": 'it\'s "100 %" \\ _',
    "20,000 letters": "o" * 20_000,
}


async def test_event_is_kept(storage: InboxStorage) -> None:
    """An event is kept as waiting and due, and is read as it was written."""
    written = event(alias="a")

    assert await storage.add_event(written)
    found = await read_event(storage)
    assert timeless_event(written) == timeless_event(found)
    assert found.due_in <= 0
    assert found.expires_in is None


async def test_event_begins_as_waiting(storage: InboxStorage) -> None:
    """The state, the end, the lease and the time of receipt of a new event are the store's."""
    written = event(
        state=EventState.DEAD,
        is_taken=True,
        expires_in=5.0,
        received_at=datetime(1999, 12, 31, tzinfo=UTC),
    )
    await storage.add_event(written)
    found = await read_event(storage)

    assert (EventState.WAITING, False, None) == (found.state, found.is_taken, found.expires_in)
    assert found.received_at is not None
    assert found.received_at.year > 1999
    assert [EVENT] == await take(storage)


async def test_counted_attempts_are_kept(storage: InboxStorage) -> None:
    """The attempts, outcomes and failure with which an event comes from elsewhere are kept."""
    written = event(attempts=3, outcomes="so far", failure="ValueError")
    await storage.add_event(written)
    (taken,) = await storage.take_events(APP, OWNER, limit=1, lease=LONG)

    assert (4, "so far", "ValueError") == (taken.attempts, taken.outcomes, taken.failure)


async def test_event_due_later(storage: InboxStorage) -> None:
    """An event may be written that is due later; until then it waits, and nobody gets it."""
    await storage.add_event(event(due_in=LONG))
    found = await read_event(storage)

    assert [] == await take(storage)
    assert (EventState.WAITING, False) == (found.state, found.is_taken)
    assert LONG >= found.due_in > 0


async def test_unknown_event(storage: InboxStorage) -> None:
    """An event that was never written is None."""
    await keep_all(storage, "another")

    assert await storage.event(APP, EVENT) is None


async def test_received_at_is_now(storage: InboxStorage) -> None:
    """The time of receipt is that of writing, in UTC by the store's clock, and never changes."""
    await keep_all(storage, "a", "b")
    first, second = [found.received_at for found in await storage.events(APP)]
    await take(storage)

    assert first is not None
    assert second is not None
    assert first <= second
    assert timedelta(0) == first.utcoffset()
    assert first == (await read_event(storage, "a")).received_at


@each(
    "moment",
    {
        "noon in UTC": _NOON,
        "west": _NOON.astimezone(timezone(timedelta(hours=-12))),
        "half an hour": _NOON.astimezone(timezone(timedelta(hours=5, minutes=30))),
        "milliseconds": _NOON + timedelta(milliseconds=123),
        "1970": datetime(1970, 1, 1, tzinfo=UTC),
        "2100": datetime(2100, 2, 28, 23, 59, 59, tzinfo=UTC),
    },
)
async def test_issued_at(storage: InboxStorage, moment: datetime) -> None:
    """The moment at which Wix issued an event is kept to the millisecond, in any zone."""
    await storage.add_event(event(issued_at=moment))

    assert moment == (await read_event(storage)).issued_at


@each(
    "payload",
    {
        "no bytes": b"",
        "zero byte": b"\x00",
        "every byte": bytes(range(256)),
        "no UTF-8": b"\xff\xfe\x80",
        "text": b"it's \\x00 100 % of {it}",
        "spaces": b"  padded \n",
        "more than a megabyte": bytes(range(256)) * 5000,
    },
)
async def test_payloads(storage: InboxStorage, payload: bytes) -> None:
    """The payload is kept byte for byte, for every reader."""
    await storage.add_event(event(payload=payload))
    taken = await storage.take_events(APP, OWNER, limit=1, lease=LONG)
    listed = await storage.events(APP)

    assert [payload] * 3 == [
        found.payload for found in (*taken, *listed, await read_event(storage))
    ]


@each("text", _TEXTS)
async def test_outcomes_are_exact(storage: InboxStorage, text: str) -> None:
    """The outcomes of handlers are kept to the code point."""
    await storage.add_event(event(outcomes=text))
    written = (await read_event(storage)).outcomes
    await take(storage)

    assert await storage.renew_event(APP, EVENT, OWNER, lease=LONG, outcomes=f"{text}2")
    assert (text, f"{text}2") == (written, (await read_event(storage)).outcomes)


@each("text", _TEXTS)
async def test_failures_are_exact(storage: InboxStorage, text: str) -> None:
    """The latest failure is kept to the code point."""
    await keep_all(storage, EVENT)
    await take(storage)

    assert await storage.postpone_event(APP, EVENT, OWNER, delay=0, outcomes="", failure=text)
    assert text == (await read_event(storage)).failure


async def test_types_and_sites_of_events_are_exact(storage: InboxStorage) -> None:
    """Types and installations of events are kept to the code point, in any letters."""
    texts = sorted({text for pair in LOOKALIKES.values() for text in pair})
    for number, text in enumerate(texts):
        await storage.add_event(event(f"{number:03}", event_type=text, instance_id=text[::-1]))
    found = await storage.events(APP)

    assert [(text, text[::-1]) for text in texts] == [
        (one.event_type, one.instance_id) for one in found
    ]


async def test_event_of_an_installation(storage: InboxStorage) -> None:
    """Events of one installation and type are different events, whose payloads are not mixed up."""
    for number in range(3):
        await storage.add_event(event(f"{number}", payload=b"%d" % number))
    found = await storage.events(APP)

    assert ["0", "1", "2"] == ids(found)
    assert [b"0", b"1", b"2"] == [one.payload for one in found]


async def test_event_without_a_record(storage: InboxStorage) -> None:
    """Events and installations are apart: no record has an event's id."""
    await keep_all(storage, EVENT)

    assert await storage.get(APP, EVENT) is None
    assert [] == list(await storage.scan(APP))
    assert not await storage.delete(APP, EVENT)
    assert [EVENT] == await take(storage)
