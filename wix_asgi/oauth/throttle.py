"""Sparing an endpoint that is failing: calls in a row instead of at once, and few repeats."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from wix_asgi.concurrency.per_loop import PerLoop

__all__ = ["FailureThrottle"]

_GAP: Final = 1 / 40
_QUIET: Final = 1.0
# Longer than it takes a thousand installations to have their turns.
_CALM: Final = 60.0
_LONGEST_WAIT: Final = 2.0
# Where that was misjudged: other processes, or another event loop, call as well.
_PATIENCE: Final = 4.0
# Of how many steps the usual one is the mean, more or less.
_MEMORY: Final = 8
_CALLS_PER_REPEAT: Final = 5
_REPEATS_AT_ONCE: Final = 10


class FailureThrottle:
    """Lets everything pass until a call fails; then, after a second, 40 calls a second.

    It ends a minute after the last failure. Repeats have a budget at all times: one for every
    five calls, and ten in advance. A process has one throttle for refreshes and one for installs;
    each of its event loops has a row of its own.
    """

    def __init__(
        self,
        *,
        shared_rate: Callable[[], Awaitable[bool]] | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Begin without a failure; `clock` gives monotonic seconds.

        While calls fail, `shared_rate` is waited for before each call: it tells what the other
        processes leave.
        """
        self._shared_rate = shared_rate or _at_once
        self._clock = clock
        self._sleep = sleep
        self._failed_at = -math.inf
        self._next_turn = -math.inf
        self._row = PerLoop(anyio.Lock)
        self._usual_step = _GAP
        self._earned = _REPEATS_AT_ONCE * _CALLS_PER_REPEAT

    @property
    def is_on(self) -> bool:
        """Whether a call has failed in the last minute."""
        return self._clock() - self._failed_at < _CALM

    @property
    def is_crowded(self) -> bool:
        """Whether calls fail, and the next turn is more than two seconds off."""
        if not self.is_on:
            return False
        return self._row.here().statistics().tasks_waiting * self._usual_step > _LONGEST_WAIT

    async def acquire(self) -> bool:
        """Wait for the next turn where the brake is on; False where it is, or was, too far off."""
        self._earned = min(self._earned + 1, _REPEATS_AT_ONCE * _CALLS_PER_REPEAT)
        if not self.is_on:
            return True
        if self.is_crowded:
            return False
        began = self._clock()
        async with self._row.here():
            return self._clock() - began <= _PATIENCE and await self._step()

    def note_failure(self) -> None:
        """Put the brake on, for a minute from now."""
        now = self._clock()
        if not self.is_on:
            # What every process had begun by then are the calls of this second.
            self._next_turn = now + _QUIET
        self._failed_at = now

    def may_repeat(self) -> bool:
        """Spend one repeat of the budget; False where there is none left."""
        if self._earned < _CALLS_PER_REPEAT:
            return False
        self._earned -= _CALLS_PER_REPEAT
        return True

    async def _step(self) -> bool:
        """Go as the first of the row, when its turn has come."""
        began = self._clock()
        # Who stood still does not make up for it at once.
        turn = max(began, self._next_turn)
        self._next_turn = turn + _GAP
        if turn > began:
            await self._sleep(turn - began)
        may_go = await self._shared_rate()
        step = max(_GAP, self._clock() - turn)
        self._usual_step += (step - self._usual_step) / _MEMORY
        return may_go


async def _at_once() -> bool:
    return True
