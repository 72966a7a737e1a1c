"""An operator retries and drops events, and seals them anew, while owners have others."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from wix_asgi.models import EventRecord, EventState
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
    ids,
    keep_all,
    read_event,
    take,
    timeless_event,
)
from wix_asgi.testing.storage_check.records import APP
from wix_asgi.testing.storage_check.tasks import together

__all__ = [
    "test_drop",
    "test_drop_at_once",
    "test_drop_has_one_winner",
    "test_drop_of_a_done_event",
    "test_drop_of_a_taken_event",
    "test_drop_of_an_unknown_event",
    "test_reseal",
    "test_reseal_beside_another",
    "test_reseal_changes_nothing_else",
    "test_reseal_of_a_done_event",
    "test_reseal_of_another_payload",
    "test_retry_of_a_dead_letter",
    "test_retry_of_a_done_event",
    "test_retry_of_a_taken_event",
    "test_retry_of_a_waiting_event",
    "test_retry_of_an_unknown_event",
    "test_retry_of_other_outcomes",
    "test_retry_repeated",
    "test_retry_takes_it_from_a_late_owner",
]


async def test_retry_of_a_dead_letter(storage: InboxStorage) -> None:
    """A dead letter that is retried waits and is due, without attempts, end and old outcomes."""
    await keep_all(storage, EVENT, alias="alias", attempts=7)
    await take(storage)
    await dead(storage)

    assert await storage.retry_event(APP, EVENT, outcomes="begun anew")
    found = await read_event(storage)
    assert (EventState.WAITING, 0, "begun anew") == (found.state, found.attempts, found.outcomes)
    assert (None, PAYLOAD, "alias") == (found.expires_in, found.payload, found.alias)
    assert found.due_in <= 0
    (taken,) = await storage.take_events(APP, "another", limit=1, lease=LONG)
    assert (1, PAYLOAD) == (taken.attempts, taken.payload)


async def test_retry_of_a_waiting_event(storage: InboxStorage) -> None:
    """An event that waits for its delay is due at once when it is retried."""
    await keep_all(storage, EVENT)
    await take(storage)
    await storage.postpone_event(APP, EVENT, OWNER, delay=3600.0, outcomes="", failure="ValueError")

    assert await storage.retry_event(APP, EVENT, outcomes="begun anew")
    found = await read_event(storage)
    assert (0, "begun anew", "ValueError") == (found.attempts, found.outcomes, found.failure)
    assert [EVENT] == await take(storage, "another")


async def test_retry_of_a_taken_event(storage: InboxStorage) -> None:
    """A taken event is not retried: its owner keeps it, with its attempts and outcomes."""
    await keep_all(storage, EVENT, outcomes="so far")
    await take(storage)

    assert not await storage.retry_event(APP, EVENT, outcomes="begun anew")
    found = await read_event(storage)
    assert (1, True, "so far") == (found.attempts, found.is_taken, found.outcomes)
    assert [] == await take(storage, "another")
    assert await storage.renew_event(APP, EVENT, OWNER, lease=LONG, outcomes="")


async def test_retry_takes_it_from_a_late_owner(storage: InboxStorage) -> None:
    """An event whose lease has ended is nobody's after a retry: its late owner is refused."""
    await keep_all(storage, EVENT)
    await take(storage, lease=0)

    assert await storage.retry_event(APP, EVENT, outcomes="begun anew")
    assert not await storage.finish_event(APP, EVENT, OWNER, keep=LONG, outcomes="late")
    assert [EVENT] == await take(storage, "another")
    found = await read_event(storage)
    assert (1, "begun anew") == (found.attempts, found.outcomes)


async def test_retry_of_other_outcomes(storage: InboxStorage) -> None:
    """An event whose outcomes have changed since they were read keeps the new ones."""
    await keep_all(storage, EVENT, outcomes="so far")
    await take(storage)
    await storage.postpone_event(APP, EVENT, OWNER, delay=3600.0, outcomes="one more")

    assert not await storage.retry_event(APP, EVENT, outcomes="begun anew", expected="so far")
    found = await read_event(storage)
    assert (1, "one more") == (found.attempts, found.outcomes)
    assert found.due_in > 0
    assert await storage.retry_event(APP, EVENT, outcomes="begun anew", expected="one more")


async def test_retry_of_a_done_event(storage: InboxStorage) -> None:
    """A done event has no payload, and is not retried."""
    await keep_all(storage, EVENT)
    await take(storage)
    await done(storage)

    assert not await storage.retry_event(APP, EVENT, outcomes="begun anew")
    found = await read_event(storage)
    assert (EventState.DONE, "done") == (found.state, found.outcomes)
    assert [] == await take(storage, "another")


async def test_retry_of_an_unknown_event(storage: InboxStorage) -> None:
    """An event that is not known, or is another app's, is not retried."""
    await keep_all(storage, "another", due_in=LONG)

    assert not await storage.retry_event(APP, EVENT, outcomes="")
    assert not await storage.retry_event("another app", "another", outcomes="")
    assert [] == await take(storage)


async def test_retry_repeated(storage: InboxStorage) -> None:
    """An event that is retried twice is due once."""
    await keep_all(storage, EVENT)
    await take(storage)
    await dead(storage)

    assert await storage.retry_event(APP, EVENT, outcomes="")
    assert await storage.retry_event(APP, EVENT, outcomes="")
    assert [EVENT] == await take(storage, "first")
    assert [] == await take(storage, "second")


@each("is_dead", {"waiting": False, "dead": True})
async def test_drop(storage: InboxStorage, *, is_dead: bool) -> None:
    """A dropped event is done: it has no payload, is not taken, and its keys are known."""
    await keep_all(storage, EVENT, alias="alias")
    if is_dead:
        await take(storage)
        await dead(storage)

    assert await storage.drop_event(APP, EVENT, keep=LONG)
    found = await read_event(storage)
    assert (EventState.DONE, None, False) == (found.state, found.payload, found.is_taken)
    assert found.expires_in is not None
    assert LONG >= found.expires_in > 0
    assert [] == await take(storage, "another")
    assert not await storage.add_event(event("another", alias="alias"))


async def test_drop_of_a_taken_event(storage: InboxStorage) -> None:
    """The owner of a dropped event is told with its next call, and brings nothing back."""
    await keep_all(storage, EVENT)
    await take(storage)

    assert await storage.drop_event(APP, EVENT, keep=LONG)
    assert not await storage.renew_event(APP, EVENT, OWNER, lease=LONG, outcomes="renewed")
    assert not await storage.postpone_event(APP, EVENT, OWNER, delay=0, outcomes="postponed")
    assert not await storage.finish_event(APP, EVENT, OWNER, keep=LONG, outcomes="finished")
    found = await read_event(storage)
    assert (EventState.DONE, None, "") == (found.state, found.payload, found.outcomes)


async def test_drop_of_a_done_event(storage: InboxStorage) -> None:
    """A done event is not dropped again, and is kept no longer than it was to be."""
    await keep_all(storage, EVENT)
    assert await storage.drop_event(APP, EVENT, keep=LONG)

    assert not await storage.drop_event(APP, EVENT, keep=3600.0)
    left = (await read_event(storage)).expires_in
    assert left is not None
    assert left <= LONG


async def test_drop_at_once(storage: InboxStorage) -> None:
    """An event that is dropped for no time is forgotten at once, in any state."""
    await keep_all(storage, "dead", "done", "taken", alias=None)
    await take(storage)
    await dead(storage, "dead")
    await done(storage, "done")
    await keep_all(storage, "stays", "waiting")
    dropped = [
        await storage.drop_event(APP, name, keep=0) for name in ("dead", "done", "taken", "waiting")
    ]

    assert [True] * 4 == dropped
    assert ["stays"] == ids(await storage.events(APP))
    assert not await storage.renew_event(APP, "taken", OWNER, lease=LONG, outcomes="")
    assert await storage.add_event(event("done", alias="alias"))
    assert await storage.drop_event(APP, "done", keep=0)
    assert await storage.add_event(event("another", alias="alias"))


async def test_drop_of_an_unknown_event(storage: InboxStorage) -> None:
    """An event that is not known, or is another app's, is not dropped."""
    await keep_all(storage, "another")

    assert not await storage.drop_event(APP, EVENT, keep=LONG)
    assert not await storage.drop_event(APP, EVENT, keep=0)
    assert not await storage.drop_event("another app", "another", keep=0)
    assert ["another"] == await take(storage)


async def test_drop_has_one_winner(storage: InboxStorage) -> None:
    """If ten callers drop an event at once, exactly one call returns True."""
    await keep_all(storage, EVENT)
    drop = partial(storage.drop_event, APP, EVENT, keep=LONG)

    assert [False] * 9 + [True] == sorted(await together(*[drop] * 10))


@each("payload", {"every byte": bytes(range(256)), "more": b"x" * 100_000})
async def test_reseal(storage: InboxStorage, payload: bytes) -> None:
    """A payload is replaced by another, byte for byte, where it is the expected one."""
    await keep_all(storage, EVENT)

    assert await storage.reseal_event(APP, EVENT, payload, expected=PAYLOAD)
    assert payload == (await read_event(storage)).payload
    assert not await storage.reseal_event(APP, EVENT, b"again", expected=PAYLOAD)
    assert payload == (await read_event(storage)).payload


async def test_reseal_changes_nothing_else(storage: InboxStorage) -> None:
    """An event that is sealed anew keeps its owner, its lease, its attempts and its state."""
    await keep_all(storage, "dead", "taken")
    await take(storage)
    await dead(storage, "dead")
    before = await storage.events(APP)
    for name in ("dead", "taken"):
        assert await storage.reseal_event(APP, name, b"resealed", expected=PAYLOAD)
    after = await storage.events(APP)

    assert [b"resealed"] * 2 == [found.payload for found in after]
    assert [_but_payload(*pair) for pair in zip(before, before, strict=True)] == [
        _but_payload(*pair) for pair in zip(before, after, strict=True)
    ]
    assert await storage.renew_event(APP, "taken", OWNER, lease=LONG, outcomes="")


def _but_payload(before: EventRecord, found: EventRecord) -> tuple[EventRecord | None, bool]:
    """Return an event with its earlier payload, and whether its moments are not later."""
    is_same = found.due_in <= before.due_in and found.received_at == before.received_at
    return timeless_event(replace(found, payload=before.payload)), is_same


async def test_reseal_of_another_payload(storage: InboxStorage) -> None:
    """A payload that only begins as the expected one, or is another event's, stays."""
    await keep_all(storage, EVENT)
    expected = [PAYLOAD + b"\x00", PAYLOAD[:-1], PAYLOAD.upper(), b"", b"%"]

    assert [False] * 5 == [
        await storage.reseal_event(APP, EVENT, b"resealed", expected=one) for one in expected
    ]
    assert not await storage.reseal_event(APP, "unknown", b"resealed", expected=PAYLOAD)
    assert not await storage.reseal_event("another", EVENT, b"resealed", expected=PAYLOAD)
    assert PAYLOAD == (await read_event(storage)).payload


async def test_reseal_of_a_done_event(storage: InboxStorage) -> None:
    """A done event gets no payload again."""
    await keep_all(storage, EVENT)
    await take(storage)
    await done(storage)

    assert not await storage.reseal_event(APP, EVENT, b"resealed", expected=PAYLOAD)
    assert not await storage.reseal_event(APP, EVENT, b"resealed", expected=b"")
    assert (await read_event(storage)).payload is None


async def test_reseal_beside_another(storage: InboxStorage) -> None:
    """If twenty callers seal an event anew at once, exactly one succeeds, and its seal is kept."""
    await keep_all(storage, EVENT)
    seals = [b"seal %d" % number for number in range(20)]
    written = await together(
        *[partial(storage.reseal_event, APP, EVENT, seal, expected=PAYLOAD) for seal in seals]
    )

    assert [(await read_event(storage)).payload] == [
        seal for seal, won in zip(seals, written, strict=True) if won
    ]
