"""Removes expired values in memory, a batch at a time, so that others get the lock in between."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

import anyio

__all__ = ["remove_in_batches"]

# Claims or events that a purge looks at without a pause: others wait for 3 ms (measured on claims:
# 27 us each, on two busy cores).
_BATCH: Final = 100

# Claims or events that one purge removes, in 1.3 s (measured on claims, on two busy cores).
_MOST: Final = 50_000


async def remove_in_batches(
    lock: threading.Lock, remove: Callable[[int], int], has_expired: Callable[[], bool]
) -> int:
    """Call `remove` under `lock` until nothing more has expired; return the number removed.

    `remove` gets the size of a batch, and returns the number that it removed.
    """
    removed = 0
    while True:
        with lock:
            removed += remove(_BATCH)
            is_done = not has_expired()
        if is_done or removed >= _MOST:
            return removed
        await anyio.lowlevel.checkpoint()
