"""Copies the inbox of an app from one storage to another: events, and the keys of done ones.

Without the keys, an event that Wix repeats would be handled again in the new storage, and without
the waiting events and dead letters an answer of 200 would have lost them. The contract of storages
has no word for a copy; so a copied event is added, and then brought into its state. A dead letter
is added as waiting with its outcomes: the first worker that takes it calls no handler, since all
have returned or were given up, and ends it as a dead letter again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from wix_asgi.models import EventRecord, EventState
from wix_asgi.storage import EventStorage

__all__ = ["EventCopy", "copy_events"]

_PAGE: Final = 100
"""Events that are read at once; with payloads of two kilobytes, 200 kB."""

_MAX_PASSES: Final = 10
"""Passes: one copies, a second proves it, and each further one is needed only because the app
changed events during the pass before. An app with events all the time never ends that by itself."""


@dataclass(slots=True)
class EventCopy:
    """The progress of a copy: the counts of its latest pass, and the writes of all passes.

    Attributes:
        passes: The number of passes, including the latest.
        seen: The number of events in the source.
        same: The events of the source that the target has with the same payload and outcomes, or
            as done.
        written: The number of events that were written, in all passes.
        kept: The events that the target ended itself, or that it knows by another key.
    """

    passes: int = 0
    seen: int = 0
    same: int = 0
    written: int = 0
    kept: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether the latest pass had nothing to write."""
        return self.same + self.kept == self.seen

    def begin_pass(self) -> None:
        """Reset the counts of the latest pass."""
        self.passes += 1
        self.seen = self.same = self.kept = 0


async def copy_events(
    app_id: str,
    source: EventStorage,
    target: EventStorage,
    *,
    report: Callable[[EventCopy], object] = lambda _: None,
) -> EventCopy:
    """Copy every event of the app, sealed as it is, until a whole pass has nothing to write.

    The app may run on the source meanwhile: an event that was done there after it was copied is
    dropped in the target by the next pass, or by the next copy. It must not run on the target,
    which would handle the same events. `received_at` becomes the moment of the copy, and a waiting
    event whose outcomes have changed since it was copied begins its attempts anew.

    Raises:
        StorageUnavailable: The source or the target cannot be reached. The events copied until then
            stay in the target, and another copy goes on from there.
    """
    copy = EventCopy()
    while copy.passes < _MAX_PASSES:
        copy.begin_pass()
        async with aclosing(_events(target, app_id)) as present:
            there = await anext(present, None)
            async for record in _events(source, app_id):
                while there is not None and there.event_id < record.event_id:
                    there = await anext(present, None)
                is_there = there is not None and there.event_id == record.event_id
                await _settle(copy, target, record, there if is_there else None)
                report(copy)
        if copy.is_complete:
            break
    return copy


async def _events(storage: EventStorage, app_id: str) -> AsyncGenerator[EventRecord, None]:
    after = ""
    while page := await storage.events(app_id, after=after, limit=_PAGE):
        for record in page:
            yield record
        after = page[-1].event_id


async def _settle(
    copy: EventCopy, target: EventStorage, record: EventRecord, there: EventRecord | None
) -> None:
    """Write one event of the source, unless the target has it as it is."""
    copy.seen += 1
    if there is None:
        if await target.add_event(record):
            copy.written += 1
            await _end(target, record)
        else:
            # An event there has the same key: it is the same event, which Wix has sent to both.
            copy.kept += 1
    elif record.state is EventState.DONE:
        copy.same += there.state is EventState.DONE
        copy.written += await _end(target, record)
    elif there.state is EventState.DONE:
        copy.kept += 1
    elif (there.payload, there.outcomes) == (record.payload, record.outcomes):
        copy.same += 1
    else:
        copy.written += await _update(target, record, there)


async def _end(target: EventStorage, record: EventRecord) -> bool:
    """Have a done event be done in the target, too."""
    if record.state is not EventState.DONE:
        return False
    keep = record.expires_in or 0.0
    return await target.drop_event(record.app_id, record.event_id, keep=keep)


async def _update(target: EventStorage, record: EventRecord, there: EventRecord) -> bool:
    """Bring payload and outcomes of a waiting event up to date."""
    app_id, event_id = record.app_id, record.event_id
    sealed, expected = record.payload or b"", there.payload or b""
    is_changed = sealed != expected and await target.reseal_event(
        app_id, event_id, sealed, expected=expected
    )
    if there.outcomes != record.outcomes:
        is_changed |= await target.retry_event(
            app_id, event_id, outcomes=record.outcomes, expected=there.outcomes
        )
    return is_changed
