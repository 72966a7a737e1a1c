"""The contract of storages with an inbox for webhooks: a capability beside `Storage`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from wix_asgi.models import EventCounts, EventRecord, EventState

__all__ = ["EventStorage"]


@runtime_checkable
class EventStorage(Protocol):
    """A storage with an inbox, which keeps events until their handlers ran; the three have one.

    As in `Storage`, every method is one atomic step, safe beside any number of tasks, processes and
    hosts, and safe to be repeated when its outcome is not known.

    A taken event is under a lease of its owner, a name that is used for one `take_events` alone. As
    long as the lease lasts nobody else gets the event; when it has ended, the event is due again,
    and belongs to the owner until somebody takes or retries it. A method with `owner` changes
    nothing, and returns False, where the event is gone, has ended, or belongs to another owner or
    to nobody: it was never taken, or was given back. False may also mean that an earlier attempt of
    the very call has succeeded.

    An event that has ended is known until its seconds are over and `purge_events` has removed it;
    only then may another event have its id or its alias.
    """

    async def add_event(self, record: EventRecord) -> bool:
        """Keep `record` as waiting, unless an event with its `event_id` or its `alias` is known.

        An id is compared with ids and an alias with aliases, of the same app and as exact bytes; no
        alias is no key. An event that is known stays as it is, and learns no key of its copy. Known
        is also an event that has ended, until it is forgotten. When this returns, the event
        survives a crash.

        Returns:
            Whether it was written: of any number of callers with one key exactly one gets True.
            False also where an earlier attempt of this very call has written it.
        """
        ...

    async def take_events(
        self, app_id: str, owner: str, *, limit: int, lease: float
    ) -> Sequence[EventRecord]:
        """Take up to `limit` due events for `lease` seconds, those first that are due for longest.

        Each is counted as another attempt; the returned records have that number. Events that this
        owner has already are returned, too, and not counted again: an earlier attempt of this very
        call took them. Their lease is counted anew, and new ones are added up to `limit` of all.
        """
        ...

    async def renew_event(
        self, app_id: str, event_id: str, owner: str, *, lease: float, outcomes: str
    ) -> bool:
        """Let the lease end `lease` seconds from now, and note the `outcomes` so far."""
        ...

    async def finish_event(
        self,
        app_id: str,
        event_id: str,
        owner: str,
        *,
        keep: float,
        outcomes: str,
        failure: str | None = None,
        is_dead: bool = False,
    ) -> bool:
        """End the event: done, or a dead letter. Its keys are forgotten after `keep` seconds.

        A done event loses its payload; a dead letter keeps it. None as `failure` leaves the failure
        that was noted before.
        """
        ...

    async def postpone_event(
        self,
        app_id: str,
        event_id: str,
        owner: str,
        *,
        delay: float,
        outcomes: str,
        failure: str | None = None,
        is_counted: bool = True,
    ) -> bool:
        """Give the event back, due in `delay` seconds; uncount the attempt if not `is_counted`.

        It belongs to nobody then. None as `failure` leaves the failure that was noted before.
        """
        ...

    async def event(self, app_id: str, event_id: str) -> EventRecord | None:
        """Return the event, ended or not, or None where it is not known."""
        ...

    async def events(
        self, app_id: str, *, state: EventState | None = None, after: str = "", limit: int = 100
    ) -> Sequence[EventRecord]:
        """Return one page of this app's events, in ascending order of `event_id`.

        The page begins behind `after`; only events in `state`, or all where it is None. Fewer than
        `limit` records mean that there are no more.
        """
        ...

    async def count_events(self, app_id: str, *, limit: int) -> EventCounts:
        """Count this app's waiting events and dead letters, each up to `limit`.

        The oldest age and the next end are those of all events, not of the counted ones.
        """
        ...

    async def retry_event(
        self, app_id: str, event_id: str, *, outcomes: str, expected: str | None = None
    ) -> bool:
        """Make a dead letter, or a waiting event that nobody has taken, due now.

        Its attempts count from 0, with `outcomes` instead of the earlier ones, which have to be
        `expected` unless that is None: others that were noted meanwhile are not lost. It belongs to
        nobody then: an owner whose lease has ended is refused from then on.

        Returns:
            Whether it was changed: False where it is not known, is done, is taken, or has other
            outcomes, also because an earlier attempt of this very call has changed it.
        """
        ...

    async def drop_event(self, app_id: str, event_id: str, *, keep: float) -> bool:
        """End an event that is not done: it loses its payload, and its keys stay `keep` seconds.

        A handler that runs meanwhile is not stopped; its owner is told with its next call. With a
        `keep` of 0 the event is removed at once with its keys, also a done one.

        Returns:
            Whether it was changed: False where it is not known, or is done and not removed.
        """
        ...

    async def reseal_event(
        self, app_id: str, event_id: str, payload: bytes, *, expected: bytes
    ) -> bool:
        """Write `payload` only where the stored one is `expected`; change nothing else."""
        ...

    async def purge_events(self) -> int:
        """Remove ended events whose seconds are over, all of them or a part; as `Storage.purge`.

        Returns:
            The number of events that this call removed. 0 if there are none to remove, or if
            another call is removing them.
        """
        ...
