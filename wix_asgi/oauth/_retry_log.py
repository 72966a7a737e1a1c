"""The log lines of repeated calls to Wix: ours, with a reason, instead of stamina's."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final

from wix_asgi.reporting.line_limit import LineLimit, and_more
from wix_asgi.reporting.one_line import one_line

__all__ = ["RetryLog"]

logger = logging.getLogger("wix_asgi")

_SECONDS: Final = 60.0
"""From one line of a kind of failure to the next: an outage has one line a minute."""

_in_our_pause: ContextVar[bool] = ContextVar("wix_asgi_in_our_pause", default=False)


class RetryLog:
    """Writes one line a minute for each kind of failure after which a call is repeated.

    stamina logs each retry as "stamina.retry_scheduled", under a logger of its own and through
    hooks of the whole process. These are the app's: only the records of our calls are dropped, from
    the standard library's logging. Metrics of its hooks (Prometheus) count our retries as before.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with no line logged; `clock` gives monotonic seconds."""
        self._limit = LineLimit(_SECONDS, clock=clock)
        logging.getLogger("stamina").addFilter(_is_the_apps)  # once, however often it is added

    def begin_pause(self) -> None:
        """Drop stamina's record of the pause that begins in this task."""
        _in_our_pause.set(True)

    def end_pause(self) -> None:
        """Let the records of the app's own retries in this task pass."""
        _in_our_pause.set(False)

    def note(self, failure: Exception, tries: int) -> None:
        """Log that a call is repeated, after `tries` tries, because of `failure`."""
        left_out = self._limit.admit(type(failure.__cause__).__name__)
        if left_out is not None:
            logger.warning(
                "a call to Wix is repeated, try %d failed: %s%s",
                tries,
                one_line(str(failure)),
                and_more(left_out),
            )


def _is_the_apps(_record: logging.LogRecord) -> bool:
    return not _in_our_pause.get()
