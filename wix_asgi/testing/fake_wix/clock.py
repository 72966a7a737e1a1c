"""The clock of a fake Wix: real time, until a test moves it."""

from __future__ import annotations

import time
from datetime import datetime

__all__ = ["Clock"]


class Clock:
    """A clock that follows real time until it is set; then only `advance` and `set` move it.

    Args:
        at: The moment at which it stands still from the start: seconds since the epoch, or an aware
            datetime. None follows real time.
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
        """Move the clock on by `seconds`, or back if they are negative."""
        self._offset += seconds

    def set(self, at: float | datetime) -> None:
        """Set the clock to `at` and stop it, so that a test can hit an exact second."""
        self._at = at.timestamp() if isinstance(at, datetime) else at
        self._offset = 0.0
