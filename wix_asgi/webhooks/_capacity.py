"""Whether the inbox has room for another event, told by counts that are seldom made."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from wix_asgi.errors import StorageUnavailable
from wix_asgi.reporting.line_limit import LineLimit, and_more
from wix_asgi.webhooks.inbox import Inbox
from wix_asgi.webhooks.policy import WebhookPolicy

__all__ = ["Capacity"]

logger = logging.getLogger("wix_asgi")

_SECONDS: Final = 60.0
"""From one line about a count that failed to the next."""


class Capacity:
    """Knows the inbox's waiting events by the latest count and the later events of this process.

    Between two counts other processes add events, too, and the inbox may go over its bound by
    their number. May be shared by all event loops.
    """

    def __init__(
        self, inbox: Inbox, policy: WebhookPolicy, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Count nothing yet; `clock` gives monotonic seconds."""
        self._inbox = inbox
        self._policy = policy
        self._clock = clock
        self._lines = LineLimit(_SECONDS, clock=clock)
        self._waiting = 0
        self._added = 0
        self._counted_at: float | None = None
        self._is_counting = False

    async def has_room(self) -> bool:
        """Return whether another event may be added, after a count where one is due."""
        if self._is_due() and not self._is_counting:
            await self._count()
        return self._estimate < self._policy.max_waiting

    def note_added(self) -> None:
        """Note that an event was added."""
        self._added += 1

    @property
    def _estimate(self) -> int:
        return self._waiting + self._added

    def _is_due(self) -> bool:
        policy = self._policy
        if self._counted_at is None or self._added >= policy.count_after:
            return True
        is_calm = 2 * self._estimate < policy.max_waiting
        interval = policy.calm_count_interval if is_calm else policy.count_interval
        return self._clock() - self._counted_at >= interval

    async def _count(self) -> None:
        self._is_counting = True
        added = self._added
        try:
            self._waiting = (await self._inbox.count(self._policy.max_waiting)).waiting
        except StorageUnavailable as exc:
            # The latest count stays: a full inbox stays full, and any other takes events.
            left_out = self._lines.admit("count")
            if left_out is not None:
                logger.warning("waiting events were not counted: %s%s", exc, and_more(left_out))
        finally:
            self._is_counting = False
        self._added -= added
        self._counted_at = self._clock()
