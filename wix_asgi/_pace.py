"""What the processes of an app may do together: so many calls a second, counted in storage."""

from __future__ import annotations

import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from wix_asgi.errors import StorageUnavailable
from wix_asgi.storage import Storage

__all__ = ["Pace"]

_NAMES: Final = 45
_SECONDS: Final = 1.0
_PAUSE: Final = 1 / 40
_TRIES: Final = 200


class Pace:
    """At most 45 calls a second over all processes and hosts: each takes a name for a second.

    While the storage fails nothing is counted, and each process goes at its own pace.
    """

    def __init__(
        self,
        storage: Storage,
        name: str,
        *,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Count under names that begin with `name`; `jitter` gives 0 to 1."""
        self._storage = storage
        self._name = name
        self._jitter = jitter
        self._sleep = sleep
        self._next = self._anywhere()

    async def step(self) -> bool:
        """Wait until one more call may be made; False where there is no place for five seconds."""
        owner = secrets.token_hex(8)
        for _ in range(_TRIES):
            try:
                is_ours = await self._storage.claim(f"{self._name}:{self._next}", owner, _SECONDS)
            except StorageUnavailable:
                return True
            if is_ours:
                # The one that has been free for the longest, where nobody else is at it.
                self._next = (self._next + 1) % _NAMES
                return True
            # Not the one behind it: whoever has that goes on before us.
            self._next = self._anywhere()
            await self._sleep(_PAUSE * (0.5 + self._jitter()))
        return False

    def _anywhere(self) -> int:
        return int(self._jitter() * _NAMES)
