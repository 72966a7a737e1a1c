"""Sparing an endpoint that is failing: its calls go in single file, at a fixed rate."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio

from wix_asgi.concurrency.per_loop import PerLoop

__all__ = ["FailureThrottle", "ThrottlePolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottlePolicy:
    """The numbers of a throttle, in seconds."""

    interval: float = 1 / 40
    """From one call of a process to the next.

    A thousand installations, which need a token every five minutes, take 25 s at forty a second.
    """

    first_pause: float = 1.0
    """After the first failure, without a call: the calls under way are that second's load."""

    cooldown: float = 60.0
    """From the last failure until calls pass unthrottled again.

    Longer than it takes a thousand installations to have their calls (25 s).
    """

    max_queue_wait: float = 2.0
    """The longest queue that a further call may join; a longer queue is crowded.

    Refreshes in the queue hold leases, whose renewals keep a busy storage from its work: five
    seconds were too many (measured: `chaos outages`).
    """

    max_wait: float = 4.0
    """How long a call stays in the queue before it is given up, unsent.

    Twice the estimate, which cannot foresee a storage that hangs or the calls of other event
    loops.
    """

    step_memory: int = 8
    """Steps over which the usual step is averaged, so that one slow answer of the storage does not
    shorten the queue. A number of steps, not of seconds."""


class FailureThrottle:
    """Lets every call pass until one fails; then, after a second, 40 calls a second.

    It ends a minute after the last failure. A process has one throttle for refreshes and one for
    installs; each of its event loops has a queue of its own.
    """

    def __init__(
        self,
        *,
        policy: ThrottlePolicy | None = None,
        shared_rate: Callable[[], Awaitable[bool]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Begin without a failure; `clock` gives monotonic seconds.

        While calls fail, `shared_rate` is awaited before each of them: it waits for the calls of
        other processes, and returns False where they leave no room.
        """
        self._policy = policy or ThrottlePolicy()
        self._shared_rate = shared_rate or _no_other_processes
        self._clock = clock
        self._sleep = sleep
        self._failed_at = -math.inf
        self._next_at = -math.inf
        self._queue = PerLoop(anyio.Lock)
        self._usual_step = self._policy.interval

    @property
    def is_on(self) -> bool:
        """Whether a call has failed within the cooldown."""
        return self._clock() - self._failed_at < self._policy.cooldown

    @property
    def is_crowded(self) -> bool:
        """Whether calls fail, and the queue is longer than a further call may wait."""
        if not self.is_on:
            return False
        queued = self._queue.here().statistics().tasks_waiting
        return queued * self._usual_step > self._policy.max_queue_wait

    async def acquire(self) -> bool:
        """Wait until the next call may be sent; False where it may not, for the queue is too long.

        Without a failure it returns at once.
        """
        if not self.is_on:
            return True
        if self.is_crowded:
            return False
        began = self._clock()
        async with self._queue.here():
            return self._clock() - began <= self._policy.max_wait and await self._step()

    def note_failure(self) -> None:
        """Throttle from now until the cooldown is over."""
        now = self._clock()
        if not self.is_on:
            self._next_at = now + self._policy.first_pause
        self._failed_at = now

    async def _step(self) -> bool:
        """Wait as the first in the queue; return whether other processes leave room for a call."""
        began = self._clock()
        # A process that stood still does not make up for its missed calls at once.
        due = max(began, self._next_at)
        self._next_at = due + self._policy.interval
        if due > began:
            await self._sleep(due - began)
        may_call = await self._shared_rate()
        step = max(self._policy.interval, self._clock() - due)
        self._usual_step += (step - self._usual_step) / self._policy.step_memory
        return may_call


async def _no_other_processes() -> bool:
    return True
