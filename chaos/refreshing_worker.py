"""`python -m chaos.refreshing_worker fd seconds`: a worker whose wall clock is off.

Nothing of ours, and nothing that uses a clock, is imported before the clock is set; the monotonic
clock of a host is never off.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from multiprocessing.connection import Connection
from typing import Self

__all__ = ["set_off"]


def set_off(seconds: int) -> None:
    """Shift the wall clock of this process by `seconds`."""
    now, now_ns = time.time, time.time_ns

    class Shifted(dt.datetime):
        """A datetime that asks the shifted clock."""

        # As large as the class that C code knows.
        __slots__ = ()

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Self:
            return cls.fromtimestamp(time.time(), tz)

        @classmethod
        def utcnow(cls) -> Self:
            return cls.now(dt.UTC).replace(tzinfo=None)

    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + seconds * 10**9
    # Before any module has imported the original class.
    vars(dt)["datetime"] = Shifted


def main(file: int, seconds: int) -> None:
    """Work for the process at the far end of the pipe with this file number."""
    if seconds:
        set_off(seconds)
    from chaos.workers import obey  # noqa: PLC0415 - it takes the clocks that there are

    obey(Connection(file))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
