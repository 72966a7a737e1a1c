"""One call of one handler, in a task of its own, bounded by its time-out and by the event's lease.

Nothing that the call does to its task reaches the worker: errors of any class, and cancellations.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum, auto
from types import TracebackType
from typing import Any, Protocol

import anyio
from anyio import CapacityLimiter, to_thread

from wix_asgi.concurrency.app_calls import Call, outcome_of, result_of
from wix_asgi.concurrency.deadline import Deadline
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.webhooks._event_lease import EventLease
from wix_asgi.webhooks.policy import WebhookPolicy

__all__ = ["Ending", "HandlerRun", "RunEnd", "Start"]

logger = logging.getLogger("wix_asgi")


class Start(Protocol):
    """Begins the call: plain functions by `in_thread`, all that is awaited inside of `bound`."""

    def __call__(
        self,
        in_thread: Callable[[Call], Awaitable[Any]],
        /,
        *,
        bound: AbstractAsyncContextManager[object],
    ) -> Awaitable[Any]:
        """Return the awaitable of the call."""
        ...


class Ending(Enum):
    """How a call ended."""

    RETURNED = auto()
    RAISED = auto()
    TIMED_OUT = auto()
    STILL_RUNNING = auto()
    """It goes on, long after its time-out."""

    LEASE_LOST = auto()
    """It was cancelled, since another process may begin."""

    INTERRUPTED = auto()
    """It was cancelled by the shutdown."""


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of a call, with its error where it has raised one."""

    ending: Ending
    error: BaseException | None = None

    @property
    def kind(self) -> str:
        """One word for a failure, for operators."""
        if self.ending is Ending.RAISED:
            return "cancelled" if self.error is None else type(self.error).__name__
        return self.ending.name.lower()

    @property
    def how(self) -> str:
        """The failure as a verb, for the log."""
        if self.ending is Ending.RAISED:
            return "cancelled itself" if self.error is None else "failed"
        return "timed out"


class HandlerRun:
    """One call, and the wait for its end."""

    def __init__(
        self,
        start: Start,
        *,
        title: str,
        timeout: float,
        lease: EventLease,
        detached: DetachedTasks,
        threads: CapacityLimiter,
        policy: WebhookPolicy,
        clock: Callable[[], float],
    ) -> None:
        """Call by `start`; `title` names it in the log, `timeout` is in seconds."""
        self._start = start
        self._title = title
        self._timeout = timeout
        self._lease = lease
        self._detached = detached
        self._threads = threads
        self._policy = policy
        self._clock = clock
        self._times_out_at = math.inf
        self._deadline: Deadline | None = None
        self._is_in_thread = self._has_ended = self._is_interrupted = False
        self._cut: Ending | None = None
        self._end = RunEnd(Ending.RAISED)
        self._woken = anyio.Event()

    @property
    def has_ended(self) -> bool:
        """Whether the call is over; a thread may go on after `end` has returned."""
        return self._has_ended

    async def end(self) -> RunEnd:
        """Call, and return how it ended; cancelling this wait cancels the call."""
        self._times_out_at = self._clock() + self._timeout
        self._task = self._detached.start(self._call)
        try:
            await self._wait()
        except BaseException:
            self._task.cancel()
            raise
        if self._has_ended:
            return self._ended()
        ending = Ending.INTERRUPTED if self._is_interrupted else Ending.STILL_RUNNING
        return RunEnd(ending)

    def interrupt(self) -> None:
        """Cancel the call, since the process is shutting down; a thread goes on."""
        self._is_interrupted = True
        self._task.cancel()
        if self._is_in_thread:
            self._woken.set()

    def renewed(self) -> None:
        """Move the end of the call with that of the lease."""
        if self._deadline is not None:
            self._deadline.move(self._seconds_left())

    async def wait_for_thread(self) -> None:
        """Wait until the call is over, or interrupted."""
        await self._woken.wait()

    # The bound around everything that is awaited in the task of the call. There, since a task that
    # was frozen would go on by a step if another task cancelled it.

    async def __aenter__(self) -> None:
        self._deadline = Deadline(self._seconds_left())
        await self._deadline.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        deadline, self._deadline = self._deadline, None
        if deadline is None or not await deadline.__aexit__(exc_type, exc, traceback):
            return False
        self._cut = self._cut_by()
        return True

    def _cut_by(self) -> Ending:
        """Tell which of the two moments was the earlier."""
        is_lease = self._lease.work_ends_at <= self._times_out_at
        return Ending.LEASE_LOST if is_lease else Ending.TIMED_OUT

    def _seconds_left(self) -> float:
        return max(0.0, min(self._times_out_at, self._lease.work_ends_at) - self._clock())

    async def _call(self) -> None:
        try:
            await self._start(self._in_thread, bound=self)
        except anyio.get_cancelled_exc_class():
            # Of a shutdown; or the call has cancelled itself, which is its failure.
            raise
        except BaseException as exc:
            # An app's sys.exit(), in a task of ours, would end the whole server.
            self._end = RunEnd(Ending.RAISED, exc)
        else:
            self._end = RunEnd(self._cut or Ending.RETURNED)
        finally:
            self._has_ended = True
            self._woken.set()

    async def _in_thread(self, call: Call) -> Any:
        self._is_in_thread = True
        outcome = await to_thread.run_sync(outcome_of, call, limiter=self._threads)
        self._is_in_thread = False
        return result_of(outcome)

    def _ended(self) -> RunEnd:
        was_cancelled = self._end == RunEnd(Ending.RAISED)
        if was_cancelled and self._cut is not None:
            return RunEnd(self._cut)
        if self._is_interrupted and self._end.ending is not Ending.RETURNED:
            return RunEnd(Ending.INTERRUPTED)
        return self._end

    async def _wait(self) -> None:
        """Wait until the call is over, or goes on for too long after its time-out."""
        while (left := self._limit() - self._clock()) > 0 and not self._woken.is_set():
            with anyio.move_on_after(left):
                await self._woken.wait()
        if self._woken.is_set():
            return
        if not self._is_in_thread:
            # Again and again from here on, in case that it went on all the same.
            self._cut = self._cut_by()
            self._task.cancel()
            with anyio.move_on_after(self._policy.cancel_patience):
                await self._woken.wait()
                return
        logger.warning(
            "%s is still running after its time-out of %g s, and keeps its slot",
            self._title,
            self._timeout,
        )
        with anyio.move_on_after(self._policy.still_running):
            await self._woken.wait()

    def _limit(self) -> float:
        """Return the moment by which the call should be over, by the latest renewal."""
        # A thread goes on without a lease, too.
        lease = math.inf if self._is_in_thread else self._lease.work_ends_at
        return min(self._times_out_at, lease)
