"""The purge of rows in storage whose time is over, in the background."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from wix_asgi.concurrency.detached import DetachedTasks

__all__ = ["Purge"]

_INTERVAL: Final = 60.0
"""Seconds from the end of a purge until the next is due.

Strangers can load the callback at any rate, which may not become a rate of writes. A name is
kept for a quarter of an hour anyway, so a minute more matters to nobody.
"""

_PAUSE: Final = 2.0
_MANY: Final = 1000
"""Seconds between two purges, while a purge removes at least this number of rows.

A purge of the backends has a bounded time, and may have left rows behind. A thousand are more
than a minute leaves where no stranger makes any, and a purge of fewer has reached the end. The
pause belongs to the statements of others.
"""

_LONGEST: Final = 600.0
"""Seconds after which a purge without an end was lost with its event loop.

The backends give up after some ten seconds, so a purge that lives has ended long before.
"""


class Purge:
    """Has storage forget the rows whose time is over: once a minute at most, and then all."""

    def __init__(
        self,
        purge: Callable[[], Awaitable[int]],
        detached: DetachedTasks,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Be due at once; `purge` returns how many it removed, `clock` gives monotonic seconds."""
        self._purge = purge
        self._detached = detached
        self._clock = clock
        self._sleep = sleep
        self._due_at = -math.inf

    def start(self) -> None:
        """Start to purge in the background, if that is due and not under way."""
        if self._clock() < self._due_at:
            return
        self._due_at = self._clock() + _LONGEST
        # A shutdown ends it after the purge under way: another worker, or the next start, goes on.
        self._detached.start(self._run, is_waited_for=False)

    async def _run(self) -> None:
        try:
            while await self._leaves_many():
                await self._sleep(_PAUSE)
                self._due_at = self._clock() + _LONGEST
        finally:
            self._due_at = self._clock() + _INTERVAL

    async def _leaves_many(self) -> bool:
        """Purge once; return whether many rows may be left."""
        removed = 0
        # To cut a statement off costs its connection, and aiosqlite may never close that.
        with anyio.CancelScope(shield=True):
            removed = await self._purge()
        return removed >= _MANY
