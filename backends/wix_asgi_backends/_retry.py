"""Decides how long a statement is repeated, and reads the errors of a driver."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["Retry", "RetryLog", "causes", "forget_locals", "origin", "sqlstate"]

logger = logging.getLogger("wix_asgi")

_LINE_SECONDS: Final = 60.0
"""Seconds between two lines about an outage: an operator sees that it lasts, in a short log."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Repeats a statement with random pauses, whose upper bound doubles from pause to pause.

    The whole length of a pause is random ("full jitter": AWS Architecture Blog, "Exponential
    Backoff And Jitter"), so that workers that failed together do not come back together.
    """

    total: float = 10.0
    """Seconds for all attempts and pauses of one operation together.

    The contract of `wix_asgi.storage.Storage`: an unreachable store is reported within about ten
    seconds.
    """

    first: float = 0.05
    """Seconds; the upper bound of the first pause. A lock or a serialization conflict is usually
    over within some milliseconds, so that the first repetition may come soon."""

    longest: float = 1.0
    """Seconds; the upper bound of every pause. In an outage each waiting operation asks about twice
    a second, and notices within a second that the database is back."""

    quiet: float = 0.5
    """Seconds of attempts and pauses of an operation before the log tells of them.

    Conflicts between writers are over sooner, and are no news.
    """

    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    """Sleeps for a number of seconds."""

    async def pause(self, attempt: int) -> None:
        """Sleep after the attempt with this number; the first attempt has the number 0."""
        # 2 ** 16 times `first` is far above `longest`; without the limit the power grows for ever.
        bound = min(self.longest, self.first * 2 ** min(attempt, 16))
        await self.sleep(random.uniform(0, bound))  # noqa: S311 # spreads load, hides nothing


class RetryLog:
    """Tells the log that operations of a storage are tried again: once for an outage of a minute.

    In an outage all operations fail together, thousands of times. Its end is one line, too.

    Attributes:
        is_failing: Whether operations have failed, and none has told the end of that yet.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing told; `clock` gives monotonic seconds."""
        self.is_failing = False
        self._clock = clock
        self._told_at = -math.inf
        self._began_at = self._failed_at = 0.0
        self._owes_end = False

    def tell(self, reason: str, retry: Retry, *, seconds: float) -> None:
        """Log that operations are tried again, unless the last line is less than a minute old.

        This one has failed for `seconds`.
        """
        self._failed_at = self._clock()
        if not self.is_failing:
            self.is_failing = True
            self._began_at = self._failed_at - seconds
        if self._clock() - self._told_at < _LINE_SECONDS:
            return
        self._told_at = self._clock()
        self._owes_end = True
        logger.warning("%s Each operation is tried again for up to %g s.", reason, retry.total)

    def note_answer(self, title: str, retry: Retry, *, is_repeated: bool) -> None:
        """Log the end of an outage that was told, with the `title` of the storage.

        An operation tells it that `is_repeated`, since it has failed before, or any other once all
        have stopped failing: where writers wait for a lock, readers are answered all the time.
        """
        if not is_repeated and self._clock() - self._failed_at < retry.longest:
            return
        self.is_failing = False
        if self._owes_end:
            self._owes_end = False
            logger.info("%s answers again after %.0f s.", title, self._clock() - self._began_at)


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and the errors it was raised from, the driver's own error last."""
    following: BaseException | None = error
    while following is not None:
        yield following
        following = getattr(following, "orig", None) or following.__cause__


def origin(error: Exception) -> Exception:
    """Return the driver's own error, from which `error` was raised."""
    # After a time-out the last of the causes is a cancellation, which is no Exception.
    *_, found = (cause for cause in causes(error) if isinstance(cause, Exception))
    return found


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of a Postgres error (five characters), or None."""
    codes = (getattr(cause, "sqlstate", None) for cause in causes(error))
    return next((code for code in codes if isinstance(code, str)), None)


def forget_locals(error: BaseException) -> None:
    """Clear the local variables of the drivers' frames: they hold the password and parameters."""
    following: BaseException | None = error
    while following is not None:
        traceback.clear_frames(following.__traceback__)
        following = following.__cause__ or following.__context__
