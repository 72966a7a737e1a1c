"""The clock of a fake Wix: real time, until a test moves it."""

from __future__ import annotations

import time
from datetime import datetime

__all__ = ["Clock"]


class Clock:
    """A clock that follows real time until it is set; from then on it moves only when told.

    Args:
        at: Where it stands still from the start: seconds since the epoch, or an aware datetime.
    """

    def __init__(self, at: float | datetime | None = None) -> None:
        self._offset = 0.0
        self._at: float | None = None
        if at is not None:
            self.set(at)

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._offset + (time.time() if self._at is None else self._at)

    def advance(self, seconds: float) -> None:
        """Move on by `seconds`; back, when they are negative."""
        self._offset += seconds

    def set(self, at: float | datetime) -> None:
        """Show `at` and stand still there, so that a test can stand on the very second."""
        self._at = at.timestamp() if isinstance(at, datetime) else at
        self._offset = 0.0
