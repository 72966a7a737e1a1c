"""The purge of the claims in storage that ran out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.storage import Storage

__all__ = ["Purge"]

_INTERVAL: Final = 60.0
"""Seconds from the end of a purge until the next is due.

Strangers can load the callback at any rate, which may not become a rate of writes. A name is
kept for a quarter of an hour anyway, so a minute more matters to nobody.
"""

_SOON: Final = 2.0
_MANY: Final = 1000
"""Seconds until the next purge, if a purge removed at least this number of claims.

A purge of the backends has a bounded time, and may have left claims behind. A thousand are more
than a minute leaves where no stranger makes any, and a purge of fewer has reached the end. The
pause belongs to the claims of others.
"""

_LONGEST: Final = 600.0
"""Seconds after which a purge without an end was lost with its event loop.

The backends give up after some ten seconds, so a purge that lives has ended long before.
"""


class Purge:
    """Has storage forget the claims that ran out: once a minute, or soon where many are left."""

    def __init__(
        self,
        storage: Storage,
        detached: DetachedTasks,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Be due at once; `clock` gives monotonic seconds."""
        self._storage = storage
        self._detached = detached
        self._clock = clock
        self._due_at = -math.inf

    def start(self) -> None:
        """Start a purge in the background, if one is due and none is under way."""
        if self._clock() < self._due_at:
            return
        self._due_at = self._clock() + _LONGEST
        self._detached.start(self._run)

    async def _run(self) -> None:
        pause = _INTERVAL
        try:
            if await self._storage.purge() >= _MANY:
                pause = _SOON
        finally:
            self._due_at = self._clock() + pause
