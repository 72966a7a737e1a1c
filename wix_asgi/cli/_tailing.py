"""Follows the events of an inbox: the new events, and each change of an event."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

import anyio

from wix_asgi.models import EventRecord, EventState
from wix_asgi.webhooks.inbox import Inbox

__all__ = ["Tail", "TailPolicy"]

_Standing: TypeAlias = tuple[EventState, int, bool, str | None]
"""The part of an event by whose change it is told again."""

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class TailPolicy:
    """The numbers of a tail."""

    pause: float = 0.5
    """Seconds between two looks: quick enough to watch by eye."""

    share: float = 4.0
    """The pause in durations of the look before it, where that is more. A look at a full inbox of
    a hundred thousand events takes seconds, and a tail shall not keep a database busy."""

    max_done: int = 10_000
    """Done events that a look reads: a hundred pages. With more of them kept, an event that comes
    and is done between two looks is not told."""


class Tail:
    """Tells events that are new or have changed since the last look."""

    def __init__(
        self,
        inbox: Inbox,
        *,
        policy: TailPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Look at `inbox`, whose storage is open; `clock` gives monotonic seconds.

        Attributes:
            reads_done: Whether few enough done events are kept for a look to read them.
        """
        self._inbox = inbox
        self._policy = policy or TailPolicy()
        self._clock = clock
        self._sleep = sleep
        self._open: dict[str, _Standing] = {}
        self._done: set[str] = set()
        self._took = 0.0
        self.reads_done = True

    async def next(self) -> list[EventRecord]:
        """Wait for a pause, and look.

        Raises:
            StorageUnavailable: The storage cannot be reached.
        """
        await self._sleep(max(self._policy.pause, self._policy.share * self._took))
        return await self.look()

    async def look(self) -> list[EventRecord]:
        """Return the events that are new or have changed since the last call, in order of arrival.

        Raises:
            StorageUnavailable: The storage cannot be reached.
        """
        began = self._clock()
        before, self._open = self._open, {}
        changed: list[EventRecord] = []
        # Done events are read last, and so an event that ends meanwhile is met in some state.
        for state in (EventState.WAITING, EventState.DEAD):
            async for kept in self._inbox.all(state):
                self._open[kept.id] = _standing(kept.record)
                if before.get(kept.id) != _standing(kept.record):
                    changed.append(kept.record)
        done = await self._newly_done() if self.reads_done else []
        changed += done
        for event_id in before.keys() - self._open.keys() - {record.event_id for record in done}:
            found = await self._inbox.find(event_id)
            if found is not None and _standing(found.record) != before[event_id]:
                changed.append(found.record)
        self._took = self._clock() - began
        return sorted(changed, key=lambda record: record.received_at or _EARLIEST)

    async def _newly_done(self) -> list[EventRecord]:
        """Return the done events that the last look has not seen as done."""
        before, self._done = self._done, set()
        found: list[EventRecord] = []
        async with aclosing(self._inbox.all(EventState.DONE)) as events:
            async for kept in events:
                if len(self._done) == self._policy.max_done:
                    self.reads_done = False
                    self._done.clear()
                    break
                self._done.add(kept.id)
                if kept.id not in before:
                    found.append(kept.record)
        return found


def _standing(record: EventRecord) -> _Standing:
    return record.state, record.attempts, record.is_taken, record.failure
