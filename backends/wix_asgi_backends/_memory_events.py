"""The inbox of the storage in memory: events in a dictionary, and their moments in heaps."""

from __future__ import annotations

import heapq
import itertools
import math
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from wix_asgi.models import EventCounts, EventRecord, EventState
from wix_asgi_backends._memory_purging import remove_in_batches

__all__ = ["MemoryEvents"]


class MemoryEvents:
    """Keeps events in the memory of this process, for any number of event loops at once."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._now = clock
        self._events_lock = threading.Lock()
        self._inboxes: defaultdict[str, _AppInbox] = defaultdict(_AppInbox)

    async def add_event(self, record: EventRecord) -> bool:
        """Keep `record` as waiting, unless a key of it is known."""
        with self._events_lock:
            return self._inboxes[record.app_id].add(record, self._now())

    async def take_events(
        self, app_id: str, owner: str, *, limit: int, lease: float
    ) -> Sequence[EventRecord]:
        """Take up to `limit` events for `lease` seconds: the owner's own, and then due ones."""
        with self._events_lock:
            now = self._now()
            taken = self._inboxes[app_id].take(owner, limit, now, lease)
            return [event.read(now) for event in taken]

    async def renew_event(
        self, app_id: str, event_id: str, owner: str, *, lease: float, outcomes: str
    ) -> bool:
        """Let the lease end `lease` seconds from now, and note the outcomes so far."""
        with self._events_lock:
            inbox = self._inboxes[app_id]
            event = inbox.owned(event_id, owner)
            if event is None:
                return False
            event.record = replace(event.record, outcomes=outcomes)
            inbox.wait(event, self._now() + lease, owner)
            return True

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
        """End the event: done without its payload, or a dead letter."""
        with self._events_lock:
            inbox = self._inboxes[app_id]
            event = inbox.owned(event_id, owner)
            if event is None:
                return False
            state = EventState.DEAD if is_dead else EventState.DONE
            inbox.end(event, state, self._now() + keep, **_notes(outcomes, failure))
            return True

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
        """Give the event back, due in `delay` seconds; uncount the attempt if not `is_counted`."""
        with self._events_lock:
            inbox = self._inboxes[app_id]
            event = inbox.owned(event_id, owner)
            if event is None:
                return False
            event.record = replace(event.record, **_notes(outcomes, failure))
            if not is_counted:
                event.count(event.record.attempts - 1)
            inbox.wait(event, self._now() + delay)
            return True

    async def event(self, app_id: str, event_id: str) -> EventRecord | None:
        """Return the event, ended or not, or None."""
        with self._events_lock:
            event = self._inboxes[app_id].events.get(event_id)
            return None if event is None else event.read(self._now())

    async def events(
        self, app_id: str, *, state: EventState | None = None, after: str = "", limit: int = 100
    ) -> Sequence[EventRecord]:
        """Return one page of events, in the order of their ids."""
        with self._events_lock:
            events, now = self._inboxes[app_id].events, self._now()
            ids = (
                event_id
                for event_id, event in events.items()
                if event_id > after and state in {None, event.record.state}
            )
            return [events[event_id].read(now) for event_id in heapq.nsmallest(limit, ids)]

    async def count_events(self, app_id: str, *, limit: int) -> EventCounts:
        """Count waiting events and dead letters, each up to `limit`."""
        with self._events_lock:
            return self._inboxes[app_id].counts(limit, self._now())

    async def retry_event(
        self, app_id: str, event_id: str, *, outcomes: str, expected: str | None = None
    ) -> bool:
        """Make a dead letter, or a waiting event outside a lease, due now."""
        with self._events_lock:
            inbox, now = self._inboxes[app_id], self._now()
            event = inbox.events.get(event_id)
            if event is None or event.record.state == EventState.DONE or event.is_taken(now):
                return False
            if expected not in {None, event.record.outcomes}:
                return False
            event.record = replace(event.record, outcomes=outcomes)
            event.count(0)
            inbox.wait(event, now)
            return True

    async def drop_event(self, app_id: str, event_id: str, *, keep: float) -> bool:
        """End an event that is not done, as done and without its payload, or forget any at once."""
        with self._events_lock:
            inbox = self._inboxes[app_id]
            event = inbox.events.get(event_id)
            if event is None:
                return False
            if keep <= 0:
                inbox.forget(event)
            elif event.record.state == EventState.DONE:
                return False
            else:
                inbox.end(event, EventState.DONE, self._now() + keep)
            return True

    async def reseal_event(
        self, app_id: str, event_id: str, payload: bytes, *, expected: bytes
    ) -> bool:
        """Write `payload` only if the stored one is `expected`."""
        with self._events_lock:
            event = self._inboxes[app_id].events.get(event_id)
            if event is None or event.record.payload != expected:
                return False
            event.record = replace(event.record, payload=payload)
            return True

    async def purge_events(self) -> int:
        """Remove up to fifty thousand ended events whose seconds are over."""
        return await remove_in_batches(
            self._events_lock, self._remove_expired_events, self._has_expired_events
        )

    def _remove_expired_events(self, most: int) -> int:
        now, removed = self._now(), 0
        for inbox in self._inboxes.values():
            removed += inbox.remove_expired(most - removed, now)
        return removed

    def _has_expired_events(self) -> bool:
        now = self._now()
        return any(inbox.ends.first() <= now for inbox in self._inboxes.values())


@dataclass(slots=True, eq=False)
class _Event:
    record: EventRecord
    """The current values of the event, but for the durations until its moments."""

    received_at: float
    due_at: float
    expires_at: float = math.inf
    owner: str | None = None

    def is_taken(self, now: float) -> bool:
        return self.owner is not None and self.due_at > now

    def count(self, attempts: int) -> None:
        self.record = replace(self.record, attempts=attempts)

    def read(self, now: float) -> EventRecord:
        is_waiting = self.record.state == EventState.WAITING
        return replace(
            self.record,
            received_at=datetime.fromtimestamp(self.received_at, UTC),
            due_in=self.due_at - now if is_waiting else 0.0,
            expires_in=None if is_waiting else self.expires_at - now,
            is_taken=self.is_taken(now),
        )


class _Moments:
    """Moments of events, the earliest first; a moment is void once its event has another one."""

    def __init__(self, moment_of: Callable[[_Event], float]) -> None:
        self._moment_of = moment_of
        self._heap: list[tuple[float, int, _Event]] = []
        self._numbers = itertools.count()

    def add(self, event: _Event) -> None:
        moment = self._moment_of(event)
        if moment < math.inf:
            heapq.heappush(self._heap, (moment, next(self._numbers), event))

    def first(self) -> float:
        """Return the earliest moment of all events; infinity where no event has one."""
        while self._heap and self._moment_of(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else math.inf

    def reached(self, now: float) -> Iterator[_Event]:
        """Yield the events whose moments have come, in their order; each gets another moment."""
        while self.first() <= now:
            yield heapq.heappop(self._heap)[2]


class _AppInbox:
    """The events of one app."""

    def __init__(self) -> None:
        self.events: dict[str, _Event] = {}
        self.ends = _Moments(lambda event: event.expires_at)
        self._aliases: set[str] = set()
        self._taken: dict[str, _Event] = {}
        self._count = dict.fromkeys(EventState, 0)
        self._due = _Moments(lambda event: event.due_at)
        self._beginnings = _Moments(_in_state(EventState.WAITING, lambda event: event.received_at))
        self._dead_ends = _Moments(_in_state(EventState.DEAD, lambda event: event.expires_at))

    def add(self, record: EventRecord, now: float) -> bool:
        if record.event_id in self.events or record.alias in self._aliases:
            return False
        if record.state != EventState.WAITING:
            record = replace(record, state=EventState.WAITING)
        event = _Event(record, received_at=now, due_at=now + record.due_in)
        self.events[record.event_id] = event
        if record.alias is not None:
            self._aliases.add(record.alias)
        self._count[EventState.WAITING] += 1
        self._due.add(event)
        self._beginnings.add(event)
        return True

    def take(self, owner: str, limit: int, now: float, lease: float) -> list[_Event]:
        """Lease the events of `owner`, and further due ones up to `limit`."""
        taken = [event for event in self._taken.values() if event.owner == owner]
        for event in taken:
            self.wait(event, now + lease, owner)
        due: list[_Event] = []
        for event in itertools.islice(self._due.reached(now), max(0, limit - len(taken))):
            # Void at once: two entries of the heap may have the same moment of one event.
            event.due_at = math.inf
            due.append(event)
        for event in due:
            event.count(event.record.attempts + 1)
            self.wait(event, now + lease, owner)
        return taken + due

    def owned(self, event_id: str, owner: str) -> _Event | None:
        """Return the event if it belongs to `owner`."""
        event = self._taken.get(event_id)
        return event if event is not None and event.owner == owner else None

    def wait(self, event: _Event, due_at: float, owner: str | None = None) -> None:
        """Have the event wait until `due_at`, under a lease of `owner` if there is one."""
        if event.record.state != EventState.WAITING:
            self._move(event, EventState.WAITING)
            event.expires_at = math.inf
            self._beginnings.add(event)
        self._give(event, owner)
        event.due_at = due_at
        self._due.add(event)

    def end(self, event: _Event, state: EventState, expires_at: float, **changes: Any) -> None:
        """End the event in `state`, with `changes` of its values; a done one loses its payload."""
        gone = {"payload": None} if state == EventState.DONE else {}
        self._move(event, state, **changes, **gone)
        self._give(event, None)
        event.due_at, event.expires_at = math.inf, expires_at
        self.ends.add(event)
        self._dead_ends.add(event)

    def counts(self, limit: int, now: float) -> EventCounts:
        oldest, next_dead = self._beginnings.first(), self._dead_ends.first()
        return EventCounts(
            waiting=min(self._count[EventState.WAITING], limit),
            dead=min(self._count[EventState.DEAD], limit),
            oldest_age=0.0 if oldest == math.inf else now - oldest,
            next_dead_in=None if next_dead == math.inf else next_dead - now,
        )

    def remove_expired(self, most: int, now: float) -> int:
        """Forget up to `most` ended events whose seconds are over; return their number."""
        removed = 0
        for event in itertools.islice(self.ends.reached(now), most):
            self.forget(event)
            removed += 1
        return removed

    def forget(self, event: _Event) -> None:
        """Remove the event with its keys; its moments are void."""
        del self.events[event.record.event_id]
        if event.record.alias is not None:
            self._aliases.remove(event.record.alias)
        self._count[event.record.state] -= 1
        self._give(event, None)
        event.received_at = event.due_at = event.expires_at = math.inf

    def _give(self, event: _Event, owner: str | None) -> None:
        event.owner = owner
        if owner is None:
            self._taken.pop(event.record.event_id, None)
        else:
            self._taken[event.record.event_id] = event

    def _move(self, event: _Event, state: EventState, **changes: Any) -> None:
        self._count[event.record.state] -= 1
        self._count[state] += 1
        # One copy for all changes: the copies are most of the time that an event takes here.
        event.record = replace(event.record, state=state, **changes)


def _notes(outcomes: str, failure: str | None) -> dict[str, Any]:
    """Return what is noted: the outcomes, and a failure if there is a newer one."""
    return {"outcomes": outcomes} if failure is None else {"outcomes": outcomes, "failure": failure}


def _in_state(state: EventState, moment_of: Callable[[_Event], float]) -> Callable[[_Event], float]:
    """Return `moment_of` for the events in `state`; other events have no moment."""
    return lambda event: moment_of(event) if event.record.state == state else math.inf
