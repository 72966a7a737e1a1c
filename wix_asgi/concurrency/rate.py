"""A rate: how many operations of a process may begin in a second."""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Rate"]


class Rate:
    """A rate with a burst, in which each caller reserves its moment; safe to share among threads.

    The "virtual scheduling" form of the leaky bucket (ITU-T I.371, annex A).
    """

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float]) -> None:
        """Admit `burst` at once, and `per_second` from then on; `clock` gives monotonic seconds."""
        self._interval = 1 / per_second
        self._ahead = (burst - 1) * self._interval
        self._clock = clock
        self._next_at = clock()
        self._lock = threading.Lock()

    @property
    def is_spent(self) -> bool:
        """Whether the next caller would have to wait for its moment."""
        return self._next_at - self._ahead > self._clock()

    def reserve(self, max_delay: float = 0.0) -> float | None:
        """Return the seconds until the caller's moment; None, reserving none, above `max_delay`."""
        with self._lock:
            now = self._clock()
            next_at = max(self._next_at, now)
            delay = max(0.0, next_at - self._ahead - now)
            if delay > max_delay:
                return None
            self._next_at = next_at + self._interval
            return delay
