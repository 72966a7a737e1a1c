"""The lease on one event, whose renewals note the outcomes of its handlers so far."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import anyio

from wix_asgi.leases.lease import FixedTerms, RenewedLease
from wix_asgi.reporting.line_limit import LineLimit, and_more
from wix_asgi.webhooks.inbox import Inbox, KeptEvent
from wix_asgi.webhooks.outcomes import Outcomes
from wix_asgi.webhooks.policy import WebhookPolicy

__all__ = ["EventLease"]

logger = logging.getLogger("wix_asgi")


class EventLease(RenewedLease):
    """A taken event, until it is ended, given back or lost.

    Attributes:
        outcomes: Written with each renewal, and with the event's end.
    """

    def __init__(
        self,
        inbox: Inbox,
        kept: KeptEvent,
        owner: str,
        *,
        asked_at: float,
        policy: WebhookPolicy,
        lines: LineLimit,
        clock: Callable[[], float],
    ) -> None:
        """Have the lease with which `owner` took the event; `asked_at` is from before that."""
        super().__init__(
            kept.id, terms=FixedTerms(policy.lease), title="the lease of an event", clock=clock
        )
        self.outcomes = Outcomes.read(kept.record.outcomes)
        self._inbox = inbox
        self._kept = kept
        self._owner = owner
        self._margin = policy.lease_margin
        self._lines = lines
        self._asked_at = asked_at
        self._ttl = policy.lease
        # Shorter where an earlier attempt of the same question took it.
        self._ends_at = asked_at + min(policy.lease, kept.record.due_in)
        # A renewal that is late would write outcomes of before.
        self._order = anyio.Lock(fast_acquire=True)
        self._is_over = False

    @property
    def work_ends_at(self) -> float:
        """The moment at which work has to end, so that no other process begins beside it."""
        return self._ends_at - self._margin

    async def renew(self) -> None:
        """Renew the lease, and note the outcomes so far."""
        async with self._order:
            if not self._is_over:
                await super().renew()

    async def end(self, write: Callable[[Inbox, KeptEvent, str], Awaitable[bool]]) -> bool:
        """End the lease by `write`; return False if the event was not ours any more.

        Raises:
            StorageUnavailable: It may not have ended, and is renewed further.
        """
        async with self._order:
            was_ours = await write(self._inbox, self._kept, self._owner)
            self._is_over = True
            return was_ours

    async def _ask(self, ttl: float) -> bool:
        return await self._inbox.renew(
            self._kept, self._owner, lease=ttl, outcomes=str(self.outcomes)
        )

    def _tell_failure(self, error: Exception) -> None:
        # Any number of events may be under way.
        left_out = self._lines.admit("renew")
        if left_out is not None:
            logger.warning(
                "the lease of event %s could not be renewed: %s%s",
                self._kept.id,
                type(error).__name__,
                and_more(left_out),
            )
