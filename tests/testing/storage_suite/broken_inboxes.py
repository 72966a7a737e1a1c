"""Inboxes with one fault each, as queues have them in the wild."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anyio

from wix_asgi.models import EventCounts, EventRecord, EventState
from wix_asgi_backends.memory import MemoryStorage


class ForgetsAliases(MemoryStorage):
    """Knows an event by its id alone."""

    async def add_event(self, record: EventRecord) -> bool:
        return await super().add_event(replace(record, alias=None))


class ForgetsDone(MemoryStorage):
    """Deletes an event that is done, as queues do, and with it the keys of its repetitions."""

    async def finish_event(self, app_id: str, event_id: str, owner: str, **end: Any) -> bool:
        is_ended = await super().finish_event(app_id, event_id, owner, **end)
        if is_ended and not end.get("is_dead"):
            await self.drop_event(app_id, event_id, keep=0)
        return is_ended


class LooksThenKeeps(MemoryStorage):
    """Looks whether an event is known, and then keeps it: two steps, with others in between."""

    async def add_event(self, record: EventRecord) -> bool:
        known = await self.events(record.app_id, limit=10_000)
        if any(_are_copies(found, record) for found in known):
            return False
        await anyio.lowlevel.checkpoint()
        await super().add_event(record)
        return True


class FoldsEventKeys(MemoryStorage):
    """Compares the ids and aliases of events as a database with the usual collation does."""

    async def add_event(self, record: EventRecord) -> bool:
        known = await self.events(record.app_id, limit=10_000)
        if any(_are_copies(_folded(found), _folded(record)) for found in known):
            return False
        return await super().add_event(record)


class GivesTwice(MemoryStorage):
    """Looks for due events, and then leases them: two steps, with others in between."""

    async def take_events(
        self, app_id: str, owner: str, *, limit: int, lease: float
    ) -> Sequence[EventRecord]:
        waiting = await self.events(app_id, state=EventState.WAITING)
        seen = [one for one in waiting if one.due_in <= 0][:limit]
        await anyio.lowlevel.checkpoint()
        taken = await super().take_events(app_id, owner, limit=limit, lease=lease)
        known = {one.event_id for one in taken}
        twice = [one for one in seen if one.event_id not in known]
        return [*taken, *[replace(one, attempts=one.attempts + 1, is_taken=True) for one in twice]]


class TakesBeforeDue(MemoryStorage):
    """Takes events that nobody has, whether they are due or not."""

    async def take_events(
        self, app_id: str, owner: str, *, limit: int, lease: float
    ) -> Sequence[EventRecord]:
        inbox = self._inboxes[app_id]
        for event in inbox.events.values():
            if event.record.state == EventState.WAITING and event.owner is None:
                inbox.wait(event, min(event.due_at, time.time()))
        return await super().take_events(app_id, owner, limit=limit, lease=lease)


class TakesAllApps(MemoryStorage):
    """Takes the events of other apps, too."""

    async def take_events(
        self, app_id: str, owner: str, *, limit: int, lease: float
    ) -> Sequence[EventRecord]:
        # In a store in use these are the apps of one sandbox, which have the same beginning.
        beginning = app_id.partition("-check-")[2][:16]
        apps = [one for one in self._inboxes if beginning in one]
        found: list[EventRecord] = []
        for one in dict.fromkeys([app_id, *apps]):
            found += await super().take_events(one, owner, limit=limit, lease=lease)
        return found[:limit]


class TakesTheNewest(MemoryStorage):
    """Takes the events that are due last: under load the first ones starve."""

    async def take_events(
        self, app_id: str, owner: str, *, limit: int, lease: float
    ) -> Sequence[EventRecord]:
        taken = await super().take_events(app_id, owner, limit=10_000, lease=lease)
        for one in taken[:-limit]:
            await self.postpone_event(
                app_id, one.event_id, owner, delay=-1, outcomes=one.outcomes, is_counted=False
            )
        return taken[::-1][:limit]


class CountsRepetitions(MemoryStorage):
    """Counts an attempt again where an owner repeats its call."""

    async def take_events(
        self, app_id: str, owner: str, *, limit: int, lease: float
    ) -> Sequence[EventRecord]:
        for event in self._inboxes[app_id].events.values():
            if event.owner == owner:
                event.count(event.record.attempts + 1)
        return await super().take_events(app_id, owner, limit=limit, lease=lease)


class RenewsForeignLeases(MemoryStorage):
    """Lets a late owner renew the lease of the next one."""

    def _owner(self, app_id: str, event_id: str, owner: str) -> str:
        event = self._inboxes[app_id].events.get(event_id)
        return owner if event is None or event.owner is None else event.owner

    async def renew_event(self, app_id: str, event_id: str, owner: str, **lease: Any) -> bool:
        owner = self._owner(app_id, event_id, owner)
        return await super().renew_event(app_id, event_id, owner, **lease)


class IgnoresOwners(RenewsForeignLeases):
    """Lets anybody renew, end and give back a taken event."""

    async def finish_event(self, app_id: str, event_id: str, owner: str, **end: Any) -> bool:
        owner = self._owner(app_id, event_id, owner)
        return await super().finish_event(app_id, event_id, owner, **end)

    async def postpone_event(self, app_id: str, event_id: str, owner: str, **delay: Any) -> bool:
        owner = self._owner(app_id, event_id, owner)
        return await super().postpone_event(app_id, event_id, owner, **delay)


class LosesLapsedLeases(MemoryStorage):
    """Refuses an owner whose lease has ended, though nobody else has taken its event."""

    async def finish_event(self, app_id: str, event_id: str, owner: str, **end: Any) -> bool:
        found = await self.event(app_id, event_id)
        is_held = found is not None and found.is_taken
        return is_held and await super().finish_event(app_id, event_id, owner, **end)


class LosesOutcomes(MemoryStorage):
    """Renews a lease without the outcomes: handlers that returned are called again."""

    async def renew_event(
        self, app_id: str, event_id: str, owner: str, *, lease: float, outcomes: str
    ) -> bool:
        del outcomes
        found = await self.event(app_id, event_id)
        noted = "" if found is None else found.outcomes
        return await super().renew_event(app_id, event_id, owner, lease=lease, outcomes=noted)


class LosesDeadPayloads(MemoryStorage):
    """Takes the payload of every ended event away: no dead letter can be retried."""

    async def finish_event(self, app_id: str, event_id: str, owner: str, **end: Any) -> bool:
        is_ended = await super().finish_event(app_id, event_id, owner, **end)
        if is_ended:
            event = self._inboxes[app_id].events[event_id]
            event.record = replace(event.record, payload=None)
        return is_ended


class KeepsDonePayloads(MemoryStorage):
    """Keeps the personal data of events that are done."""

    async def finish_event(self, app_id: str, event_id: str, owner: str, **end: Any) -> bool:
        before = await self.event(app_id, event_id)
        is_ended = await super().finish_event(app_id, event_id, owner, **end)
        if is_ended and before is not None:
            event = self._inboxes[app_id].events[event_id]
            event.record = replace(event.record, payload=before.payload)
        return is_ended


class CountsShutdowns(MemoryStorage):
    """Counts an attempt that was not to be counted."""

    async def postpone_event(self, app_id: str, event_id: str, owner: str, **delay: Any) -> bool:
        delay.pop("is_counted", None)
        return await super().postpone_event(app_id, event_id, owner, **delay)


class PostponedIsHeld(MemoryStorage):
    """Gives an event back by its due time alone: it remains its owner's."""

    async def postpone_event(self, app_id: str, event_id: str, owner: str, **delay: Any) -> bool:
        is_back = await super().postpone_event(app_id, event_id, owner, **delay)
        if is_back:
            inbox = self._inboxes[app_id]
            event = inbox.events[event_id]
            inbox.wait(event, event.due_at, owner)
        return is_back


class RetriesTaken(MemoryStorage):
    """Retries an event that a process has."""

    async def retry_event(
        self, app_id: str, event_id: str, *, outcomes: str, expected: str | None = None
    ) -> bool:
        event = self._inboxes[app_id].events.get(event_id)
        if event is not None and event.is_taken(time.time()):
            self._inboxes[app_id].wait(event, time.time())
        return await super().retry_event(app_id, event_id, outcomes=outcomes, expected=expected)


class RetriesWithAnyOutcomes(MemoryStorage):
    """Retries an event whatever was noted meanwhile."""

    async def retry_event(
        self, app_id: str, event_id: str, *, outcomes: str, expected: str | None = None
    ) -> bool:
        del expected
        return await super().retry_event(app_id, event_id, outcomes=outcomes)


class ResealsAnything(MemoryStorage):
    """Writes a new seal over whatever payload there is."""

    async def reseal_event(
        self, app_id: str, event_id: str, payload: bytes, *, expected: bytes
    ) -> bool:
        del expected
        found = await self.event(app_id, event_id)
        there = b"" if found is None or found.payload is None else found.payload
        return await super().reseal_event(app_id, event_id, payload, expected=there)


class FiltersPages(MemoryStorage):
    """Takes a page of all events, and then those in the state: a short page is not the last."""

    async def events(
        self, app_id: str, *, state: EventState | None = None, after: str = "", limit: int = 100
    ) -> Sequence[EventRecord]:
        page = await super().events(app_id, after=after, limit=limit)
        return [one for one in page if state in {None, one.state}]


class CountsByPages(MemoryStorage):
    """Tells the age of the oldest of those events that it counted."""

    async def count_events(self, app_id: str, *, limit: int) -> EventCounts:
        page = await self.events(app_id, state=EventState.WAITING, limit=limit)
        ages = [time.time() - one.received_at.timestamp() for one in page if one.received_at]
        counts = await super().count_events(app_id, limit=limit)
        return replace(counts, oldest_age=max(ages, default=0.0))


class PurgesWaiting(MemoryStorage):
    """Purges events by the time of their receipt, whether they have ended or not."""

    async def purge_events(self) -> int:
        purged = await super().purge_events()
        for app_id, inbox in self._inboxes.items():
            for event_id in [*inbox.events]:
                purged += await self.drop_event(app_id, event_id, keep=0)
        return purged


class PurgesWithoutKeys(MemoryStorage):
    """Purges ended events, and leaves their aliases in a table of its own."""

    async def purge_events(self) -> int:
        aliases = {app_id: inbox._aliases.copy() for app_id, inbox in self._inboxes.items()}
        purged = await super().purge_events()
        for app_id, known in aliases.items():
            self._inboxes[app_id]._aliases |= known
        return purged


def _are_copies(one: EventRecord, other: EventRecord) -> bool:
    is_known = one.alias is not None and one.alias == other.alias
    return one.event_id == other.event_id or is_known


def _folded(record: EventRecord) -> EventRecord:
    alias = record.alias and record.alias.lower()
    return replace(record, event_id=record.event_id.lower(), alias=alias)
