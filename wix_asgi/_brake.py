"""Sparing an endpoint that is failing: calls in a row instead of at once, and few repeats."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

__all__ = ["Brake"]

_GAP: Final = 1 / 40
_CALM: Final = 30.0
_LONGEST_WAIT: Final = 5.0
_CALLS_PER_REPEAT: Final = 5
_REPEATS_AT_ONCE: Final = 10


class Brake:
    """Lets everything pass until a call fails; then 40 calls a second, until 30 seconds after.

    Repeats have a budget at all times: one for every five calls, and ten in advance. A process has
    one brake for refreshes and one for installs, over all its event loops.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Begin without a failure; `clock` gives monotonic seconds."""
        self._clock = clock
        self._sleep = sleep
        self._failed_at = -math.inf
        self._next_turn = -math.inf
        self._behind = 0.0
        self._earned = _REPEATS_AT_ONCE * _CALLS_PER_REPEAT

    @property
    def is_on(self) -> bool:
        """Whether a call has failed in the last 30 seconds."""
        return self._clock() - self._failed_at < _CALM

    @property
    def is_crowded(self) -> bool:
        """Whether the next turn is more than five seconds off."""
        return self.is_on and self._next_turn + self._behind - self._clock() > _LONGEST_WAIT

    async def turn(self) -> bool:
        """Wait for the next turn where the brake is on; False at once where it is too far off."""
        self._earned = min(self._earned + 1, _REPEATS_AT_ONCE * _CALLS_PER_REPEAT)
        if not self.is_on:
            return True
        if self.is_crowded:
            return False
        turn = max(self._clock() - self._behind, self._next_turn)
        self._next_turn = turn + _GAP
        left, behind = turn + self._behind - self._clock(), self._behind
        while left > 0:
            await self._sleep(left)
            # Again where the row was put off meanwhile.
            due = turn + self._behind - self._clock()
            left, behind = min(due, self._behind - behind), self._behind
        # A process that stood still puts off the whole row, and does not make up for it at once.
        self._behind += max(0.0, self._clock() - self._behind - turn - _GAP)
        return True

    def failed(self) -> None:
        """Put the brake on, for 30 seconds from now."""
        self._failed_at = self._clock()

    def may_repeat(self) -> bool:
        """Spend one repeat of the budget; False where there is none left."""
        if self._earned < _CALLS_PER_REPEAT:
            return False
        self._earned -= _CALLS_PER_REPEAT
        return True
