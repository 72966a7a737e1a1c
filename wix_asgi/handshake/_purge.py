"""The purge of the states in storage that were used up long ago."""

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
kept for over an hour anyway, so a minute more matters to nobody.
"""

_LONGEST: Final = 600.0
"""Seconds after which a purge without an end was lost with its event loop.

The backends give up after about ten seconds, so a purge that lives has ended long before.
"""


class Purge:
    """Has storage forget the claims that ran out: once a minute at most, one purge at a time."""

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
        """Start a purge in the background, if one is due."""
        if self._clock() < self._due_at:
            return
        self._due_at = self._clock() + _LONGEST
        self._detached.start(self._run)

    async def _run(self) -> None:
        try:
            await self._storage.purge()
        finally:
            self._due_at = self._clock() + _INTERVAL
