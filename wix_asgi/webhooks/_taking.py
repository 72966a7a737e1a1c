"""Takes an event for each free slot of one event loop, and starts their attempts."""

from __future__ import annotations

import contextvars
import heapq
import logging
import math
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio
from anyio import CapacityLimiter
from anyio.lowlevel import current_token

from wix_asgi._frames import without_locals
from wix_asgi.concurrency.call_soon import call_soon
from wix_asgi.concurrency.detached import DetachedTask
from wix_asgi.concurrency.per_loop import running_loop
from wix_asgi.errors import StorageUnavailable
from wix_asgi.reporting.line_limit import and_more
from wix_asgi.reporting.one_line import one_line
from wix_asgi.webhooks._attempt import EventAttempt, WorkerParts
from wix_asgi.webhooks.inbox import KeptEvent
from wix_asgi.webhooks.watch import InboxWatch

__all__ = ["Taking"]

logger = logging.getLogger("wix_asgi")


class Taking:
    """The worker's part on one event loop, from its start to its end."""

    def __init__(
        self,
        parts: WorkerParts,
        *,
        concurrency: int,
        ready: Callable[[], Awaitable[None]],
        watch: InboxWatch,
    ) -> None:
        """Belong to the running event loop."""
        self._parts = parts
        self._policy = parts.policy
        self._clock = parts.clock
        self._ready = ready
        self._watch = watch
        self._loop = current_token().native_token
        self._pid = os.getpid()
        self._threads = CapacityLimiter(concurrency)
        self._free = concurrency
        self._attempts: dict[EventAttempt, DetachedTask[None]] = {}
        self._tasks: list[DetachedTask[None]] = []
        self._changed = anyio.Event()
        self._is_woken = self._is_stopping = False
        self._owner = ""
        self._pause = self._policy.poll_pause
        self._poll_at = -math.inf
        # Moments at which events come back that this process has given back, or a killed one had.
        self._due: list[float] = [self._clock() + self._policy.lease]

    @property
    def is_here(self) -> bool:
        """Whether it is the running event loop's; not where that was forked from another one."""
        return self._pid == os.getpid() and self._loop is current_token().native_token

    def start(self) -> None:
        """Begin to take events."""
        # Without the context variables of the request that happens to come first.
        begin = contextvars.Context().run
        self._tasks.append(begin(self._parts.detached.start, self._run))
        watching = begin(self._parts.detached.start, self._watch.run, is_waited_for=False)
        self._tasks.append(watching)

    def wake(self) -> bool:
        """Look for events at once, from any thread; return False if this event loop is over."""
        if self._pid != os.getpid():
            return False
        if self._loop is not _loop_here():
            return call_soon(self._loop, self._note_event)
        # Each event that this process has kept comes here: a call from elsewhere takes two system
        # calls.
        self._note_event()
        return True

    def ask_to_stop(self) -> bool:
        """Take no more events, from any thread; return False if this event loop is over."""
        return self._pid == os.getpid() and call_soon(self._loop, self._begin_stop)

    async def stop(self) -> None:
        """Take no more, wait for handlers, then cancel them, and give their events back."""
        self._begin_stop()
        with anyio.move_on_after(self._policy.shutdown_grace):
            await self._wait_for_all()
        for attempt in list(self._attempts):
            attempt.interrupt()
        with anyio.move_on_after(self._policy.shutdown_cleanup):
            await self._wait_for_all()
        for task in self._unfinished():
            task.cancel()

    def _begin_stop(self) -> None:
        self._is_stopping = True
        self._changed.set()
        for task in self._tasks[1:]:
            task.cancel()

    def _note_event(self) -> None:
        self._is_woken = True
        self._changed.set()

    def _unfinished(self) -> list[DetachedTask[None]]:
        return [task for task in (*self._tasks, *self._attempts.values()) if not task.is_done]

    async def _wait_for_all(self) -> None:
        while unfinished := self._unfinished():
            await unfinished[0].wait()

    async def _run(self) -> None:
        while not self._is_stopping:
            if self._free <= 0 or self._is_writing_late:
                await self._wait(math.inf)
            elif self._is_woken or (seconds := self._seconds_to_look()) <= 0:
                await self._look()
            else:
                await self._wait(seconds)

    @property
    def _is_writing_late(self) -> bool:
        """Whether a look would get events that have ended here, once the storage is back."""
        return any(attempt.is_unwritten for attempt in self._attempts)

    async def _wait(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await self._changed.wait()
        self._changed = anyio.Event()

    def _seconds_to_look(self) -> float:
        return min(self._poll_at, self._due[0] if self._due else math.inf) - self._clock()

    async def _look(self) -> None:
        """Take events, and tell when to look again."""
        self._is_woken = False
        while self._due and self._due[0] <= self._clock():
            heapq.heappop(self._due)
        wanted = self._free
        taken, asked_at, owner = await self._take(wanted)
        for kept in taken:
            self._begin(kept, owner, asked_at)
        if taken:
            self._pause = self._policy.poll_pause
        # Fewer than were wanted: no more are due.
        self._is_woken = self._is_woken or len(taken) >= wanted
        jitter = 0.5 + self._parts.jitter()
        # Where nothing is registered, other processes have nothing for this one.
        pause = math.inf if self._parts.handlers.is_empty else self._pause * jitter
        self._poll_at = self._clock() + pause
        if not taken:
            self._pause = min(2 * self._pause, self._policy.max_poll_pause)

    async def _take(self, limit: int) -> tuple[Sequence[KeptEvent], float, str]:
        """Return events with the moment before they were asked for and the name of their owner."""
        # The same name again after a failure, which may have taken events by it.
        owner = self._owner = self._owner or secrets.token_hex(16)
        taken: Sequence[KeptEvent] = []
        asked_at = self._clock()
        try:
            await self._ready()
            asked_at = self._clock()
            taken = await self._parts.inbox.take(owner, limit=limit, lease=self._policy.lease)
        except Exception as exc:
            self._tell_failure(exc)
            heapq.heappush(self._due, self._clock() + self._policy.max_poll_pause)
        else:
            self._owner = ""
        return taken, asked_at, owner

    def _begin(self, kept: KeptEvent, owner: str, asked_at: float) -> None:
        attempt = EventAttempt(
            self._parts,
            kept,
            owner,
            asked_at=asked_at,
            threads=self._threads,
            note_due=self._note_due,
        )
        if self._is_stopping:
            # The shutdown came while the storage was asked.
            attempt.interrupt()
        self._free -= 1

        async def run() -> None:
            try:
                await attempt.run()
            finally:
                del self._attempts[attempt]
                self._free += 1
                self._changed.set()

        self._attempts[attempt] = self._parts.detached.start(run)

    def _note_due(self, delay: float) -> None:
        heapq.heappush(self._due, self._clock() + delay)
        self._changed.set()

    def _tell_failure(self, error: Exception) -> None:
        is_expected = isinstance(error, StorageUnavailable)
        left_out = self._parts.lines.admit("take")
        if left_out is not None:
            exc_info: Any = None if is_expected else without_locals(error)
            logger.log(
                logging.WARNING if is_expected else logging.ERROR,
                "no events can be taken from the inbox: %s%s",
                one_line(str(error)) if is_expected else type(error).__name__,
                and_more(left_out),
                exc_info=exc_info,
            )


def _loop_here() -> object | None:
    try:
        return running_loop()
    except RuntimeError:
        return None
