"""The state of the storage, as the refreshes of a process have found it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from enum import Enum
from typing import Final

from wix_asgi.errors import StorageUnavailable
from wix_asgi.reporting.line_limit import LineLimit, and_more
from wix_asgi.reporting.one_line import one_line
from wix_asgi.tokens.policy import RefreshPolicy

__all__ = ["Progress", "Stage", "StorageWatch"]

logger = logging.getLogger("wix_asgi")

_LINE_SECONDS: Final = 60.0
"""Between two log lines about the storage: an outage concerns all sites, and every call of each."""


class Stage(Enum):
    """The party for which a refresh waits."""

    STORAGE = "an answer of the storage"
    WIX = "an answer of Wix"
    PEERS = "another process, or a slot"


class Progress:
    """The progress of one refresh, for its waiting callers.

    Attributes:
        stage: The party for which the refresh waits now.
        since: The moment from which it waits for that, in seconds of the monotonic clock.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Begin with the storage; `clock` gives monotonic seconds."""
        self._clock = clock
        self.enter(Stage.STORAGE)

    def enter(self, stage: Stage) -> None:
        """Begin a stage."""
        self.stage = stage
        self.since = self._clock()


class StorageWatch:
    """Notes that the storage fails, so that callers are told at once, and the log once a minute."""

    def __init__(self, policy: RefreshPolicy, *, clock: Callable[[], float]) -> None:
        """Begin with a storage that is well; `clock` gives monotonic seconds."""
        self._policy = policy
        self._clock = clock
        self._failed_at: float | None = None
        self._lines = LineLimit(_LINE_SECONDS, clock=clock)

    @property
    def caller_wait(self) -> float:
        """How many seconds a caller waits for a refresh: few or none where the storage fails."""
        if self._failed_at is None:
            return math.inf
        is_over = self._clock() - self._failed_at >= self._policy.storage_pause
        return self._policy.storage_probe_wait if is_over else 0.0

    @property
    def is_failing(self) -> bool:
        """Whether the storage has not answered since its last failure."""
        return self._failed_at is not None

    def note_answer(self) -> None:
        """Note that the storage has answered."""
        self._failed_at = None

    def note_failure(self, instance_id: str, error: StorageUnavailable, seconds: float) -> None:
        """Note that the storage has failed the refresh of this installation after `seconds`.

        A storage that fails at once holds up nobody, so that every caller may try it.
        """
        if seconds >= self._policy.storage_slow:
            self._failed_at = self._clock()
        self._tell(instance_id, error)

    def note_time_out(self, instance_id: str, error: StorageUnavailable) -> None:
        """Note that a caller has waited for too long, whose refresh still waits for the storage.

        The refresh soon fails with the cause, which a line about the time-out would keep out of the
        log; it is told where the storage was failing before, and so may never say why.
        """
        is_first = not self.is_failing
        self._failed_at = self._clock()
        if not is_first:
            self._tell(instance_id, error)

    def _tell(self, instance_id: str, error: StorageUnavailable) -> None:
        left_out = self._lines.admit("the storage fails")
        if left_out is not None:
            logger.error(
                "the storage fails, so that site %s gets no new token: %s%s",
                instance_id,
                one_line(str(error)),
                and_more(left_out),
                extra={"instance_id": instance_id},
            )
