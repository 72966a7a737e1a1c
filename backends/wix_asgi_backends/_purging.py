"""Decides how many claims a purge removes at once, and how long it lets other writers alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

__all__ = ["Purging"]


@dataclass(frozen=True, slots=True)
class Purging:
    """Removes expired claims in batches of bounded time, with pauses that let other writers in."""

    seconds: float = 5.0
    """Seconds after which a call begins no further batch: half of the ten that an operation of a
    storage may take."""

    batch_seconds: float = 0.1
    """Seconds that a batch is to take, by which the next batch gets its number of rows.

    SQLite has one writer at a time, so that a claim may wait for a whole batch, and then for up to
    0.1 s until it looks again.
    """

    pause: float = 0.15
    """Seconds between two batches.

    SQLite's lock goes to the writer that looks first, and a waiting writer looks every 0.1 s
    (`sqliteDefaultBusyCallback`): so each writer that waited during a batch looks before the next.
    """

    first: int = 500
    """Rows of the first batch of a call, before the time of a batch is known."""

    least: int = 100
    """Rows of a batch on a store that is slow, or busy, at which a purge still ends."""

    most: int = 1000
    """Rows of a batch at most.

    Names are random, so that each row changes a page of SQLite's index, and each page is written
    and synchronized twice: 1000 rows write 8 MB. With 10,000 rows a claim beside a purge took up to
    0.94 s, and with 2000 up to 0.61 s (measured on two busy cores).
    """

    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    """Sleeps for a number of seconds."""

    clock: Callable[[], float] = time.monotonic
    """Gives monotonic seconds."""

    async def run(self, remove: Callable[[int], Awaitable[int]]) -> int:
        """Remove batches until nothing is left, or the time is up; return the number removed.

        `remove` removes up to the given number of rows, and returns the number removed.
        """
        began, rows, total = self.clock(), self.first, 0
        while True:
            at = self.clock()
            removed = await remove(rows)
            total += removed
            if removed < rows or self.clock() - began >= self.seconds:
                return total
            rows = self._next(rows, self.clock() - at)
            await self.sleep(self.pause)

    def _next(self, rows: int, took: float) -> int:
        # A quarter more at most: the time of a batch without a checkpoint of the log says little of
        # the time of a larger batch with one.
        fitting = min(rows + rows // 4, round(rows * self.batch_seconds / max(took, 1e-6)))
        return min(max(fitting, self.least), self.most)
