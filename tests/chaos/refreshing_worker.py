"""`python -m tests.chaos.refreshing_worker fd seconds`: a worker whose wall clock is off.

Nothing of ours, and nothing that uses a clock, is imported before the clock is set; the monotonic
clock of a host is never off.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from multiprocessing.connection import Connection

__all__ = ["set_off"]


def set_off(seconds: int) -> None:
    """Have this process take the time to be so many seconds later than it is."""
    now, now_ns, real = time.time, time.time_ns, dt.datetime

    class Shifted(real):  # type: ignore[valid-type, misc] # it is the class of that module
        """A datetime that asks the shifted clock."""

        # As large as the one that C knows.
        __slots__ = ()

        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:
            shifted: dt.datetime = cls.fromtimestamp(time.time(), tz)
            return shifted

        @classmethod
        def utcnow(cls) -> dt.datetime:
            now: dt.datetime = cls.now(dt.UTC)
            return now.replace(tzinfo=None)

    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + seconds * 10**9
    dt.datetime = Shifted  # type: ignore[misc] # before anybody has taken the other one


def main(file: int, seconds: int) -> None:
    """Work for whoever has the other end of this file."""
    if seconds:
        set_off(seconds)
    from tests.chaos.workers import obey  # noqa: PLC0415 - it takes the clocks that there are

    obey(Connection(file))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
