"""A rate that all processes of an app share: calls a second, counted in their storage."""

from __future__ import annotations

import math
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from wix_asgi.errors import StorageUnavailable
from wix_asgi.storage import Storage

__all__ = ["SharedRateLimit"]

_SLOTS_PER_SECOND: Final = 45
"""Names in storage; each lets one call pass for a second.

A few more than the 40 calls a second of one process's throttle, so that a process alone finds a
free name at once; below the 50 calls a second that `chaos outages` lets a failing Wix see at most.
"""

_SLOT_SECONDS: Final = 1.0
"""How long a name is taken: the second in which calls are counted."""

_RETRY_PAUSE: Final = 1 / 40
"""Seconds between two tries for a name, times 0.5 to 1.5 by chance: the throttle's interval."""

_MAX_WAIT: Final = 5.0
"""Seconds after which a call without a name is not sent. Half of a caller's patience (10 s)."""

_ANSWER_SECONDS: Final = 1.0
"""Seconds within which the storage has to answer.

A slower storage could not count 45 calls a second, and would hold up the queue of the throttle.
"""

_BYPASS_SECONDS: Final = 5.0
"""Seconds for which a storage that failed, or was slow, is not asked again."""


class SharedRateLimit:
    """At most 45 calls a second over all processes and hosts, while the storage works.

    While the storage fails, or takes a second to answer, nothing is counted: each process is
    bounded by its own throttle only.
    """

    def __init__(
        self,
        storage: Storage,
        name: str,
        *,
        answer_seconds: float = _ANSWER_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Count under names that begin with `name`.

        `clock` gives monotonic seconds, and `jitter` 0 to 1.
        """
        self._storage = storage
        self._name = name
        self._answer_seconds = answer_seconds
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep
        self._bypass_until = -math.inf
        self._next = self._random_slot()

    async def acquire(self) -> bool:
        """Wait until one more call may be sent; False where there is no room for five seconds."""
        owner, deadline = secrets.token_hex(8), self._clock() + _MAX_WAIT
        while self._clock() < deadline:
            if self._clock() < self._bypass_until:
                return True
            if await self._claim(owner):
                # The slot that has been free for the longest, where no other process goes round.
                self._next = (self._next + 1) % _SLOTS_PER_SECOND
                return True
            # Not the slot behind it: the process that has this one takes that one next.
            self._next = self._random_slot()
            await self._sleep(_RETRY_PAUSE * (0.5 + self._jitter()))
        return False

    async def _claim(self, owner: str) -> bool:
        """Claim the next slot; True, too, where the storage cannot say."""
        try:
            with anyio.fail_after(self._answer_seconds):
                return await self._storage.claim(f"{self._name}:{self._next}", owner, _SLOT_SECONDS)
        except (StorageUnavailable, TimeoutError):
            self._bypass_until = self._clock() + _BYPASS_SECONDS
            return True

    def _random_slot(self) -> int:
        return int(self._jitter() * _SLOTS_PER_SECOND)
