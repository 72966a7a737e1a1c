"""What the processes of an app may do together: so many calls a second, counted in storage."""

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

_NAMES: Final = 45
_SECONDS: Final = 1.0
_PAUSE: Final = 1 / 40
_PATIENCE: Final = 5.0
# A storage that takes longer is of no help, and is not asked again for a while.
_ANSWER_SECONDS: Final = 1.0
_BLIND_SECONDS: Final = 5.0


class SharedRateLimit:
    """At most 45 calls a second over all processes and hosts: each takes a name for a second.

    While the storage fails, or takes a second, nothing is counted and each process goes at its own
    pace.
    """

    def __init__(
        self,
        storage: Storage,
        name: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Count under names that begin with `name`.

        `clock` gives monotonic seconds, and `jitter` 0 to 1.
        """
        self._storage = storage
        self._name = name
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep
        self._blind_until = -math.inf
        self._next = self._anywhere()

    async def acquire(self) -> bool:
        """Wait until one more call may be made; False where there is no place for five seconds."""
        owner, deadline = secrets.token_hex(8), self._clock() + _PATIENCE
        while self._clock() < deadline:
            if self._clock() < self._blind_until:
                return True
            if await self._claim(owner):
                # The one that has been free for the longest, where nobody else is at it.
                self._next = (self._next + 1) % _NAMES
                return True
            # Not the one behind it: whoever has that goes on before us.
            self._next = self._anywhere()
            await self._sleep(_PAUSE * (0.5 + self._jitter()))
        return False

    async def _claim(self, owner: str) -> bool:
        try:
            with anyio.fail_after(_ANSWER_SECONDS):
                return await self._storage.claim(f"{self._name}:{self._next}", owner, _SECONDS)
        except (StorageUnavailable, TimeoutError):
            self._blind_until = self._clock() + _BLIND_SECONDS
            return True

    def _anywhere(self) -> int:
        return int(self._jitter() * _NAMES)
