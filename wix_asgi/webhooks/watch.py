"""Watches the inbox of an app: purges and counts it, and tells operators when it grows."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable

import anyio

from wix_asgi._frames import without_locals
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.concurrency.purge import Purge
from wix_asgi.errors import StorageUnavailable
from wix_asgi.leases.lease import FixedTerms, Lease
from wix_asgi.models import EventCounts
from wix_asgi.storage import Storage
from wix_asgi.webhooks.inbox import Inbox
from wix_asgi.webhooks.policy import WebhookPolicy

__all__ = ["InboxWatch"]

logger = logging.getLogger("wix_asgi")


class InboxWatch:
    """Purges in every process, and counts in a single process at a time."""

    def __init__(
        self,
        inbox: Inbox,
        storage: Storage,
        app_id: str,
        *,
        detached: DetachedTasks,
        policy: WebhookPolicy,
        observe: Callable[[EventCounts], object],
        clock: Callable[[], float],
    ) -> None:
        """Keep a lease in `storage`; `observe` gets the counts of each look."""
        self._inbox = inbox
        self._storage = storage
        self._policy = policy
        self._observe = observe
        self._purge = Purge(inbox.purge, detached, clock=clock)
        self._lease = Lease(
            storage,
            f"watch_events:{app_id}",
            terms=FixedTerms(policy.watch_lease),
            title="the lease of the watch",
            clock=clock,
        )
        self._dead_name = f"dead_events:{app_id}"
        self._waiting = _Growth(policy.warn_waiting, policy.warn_growth)
        self._age = _Growth(policy.warn_age, policy.warn_growth)

    async def run(self) -> None:
        """Look at the inbox in each interval, until cancelled."""
        try:
            while True:
                self._purge.start()
                # To cut a statement off costs its connection.
                with anyio.CancelScope(shield=True):
                    await self._try(self._look)
                await anyio.sleep(self._policy.watch_interval)
        finally:
            await self._lease.give_back()

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except StorageUnavailable:
            pass  # The taking of events tells that the storage fails.
        except Exception as exc:
            # Its frames are chosen here, which `exception` would not know.
            logger.log(
                logging.ERROR,
                "the inbox could not be counted: %s",
                type(exc).__name__,
                exc_info=without_locals(exc),
            )

    async def _look(self) -> None:
        if not await self._lease.take():
            return
        counts = await self._inbox.count(self._policy.max_waiting)
        self._observe(counts)
        # Both, so that each knows its latest value.
        if self._waiting.has_grown(counts.waiting) | self._age.has_grown(counts.oldest_age):
            logger.warning(
                "%d events wait for their handlers, the oldest for %.0f s; `wix-asgi events list` "
                "shows them",
                counts.waiting,
                counts.oldest_age,
                extra={
                    "waiting": counts.waiting,
                    "oldest_age": counts.oldest_age,
                    "dead": counts.dead,
                },
            )
        await self._tell_of_dead(counts)

    async def _tell_of_dead(self, counts: EventCounts) -> None:
        left = counts.next_dead_in
        if left is None or left > self._policy.warn_dead:
            return
        # Once a day over all processes, and over their restarts.
        owner = secrets.token_hex(16)
        if await self._storage.claim(self._dead_name, owner, self._policy.warn_dead):
            logger.warning(
                "the first of %d dead letters is forgotten in %.0f hours; `wix-asgi events list "
                "--dead` shows them, `events retry` handles one again",
                counts.dead,
                max(0.0, left) / 3600,
                extra={"dead": counts.dead, "next_dead_in": left},
            )


class _Growth:
    """Tells of a value above a threshold, again each time that it has grown by a factor."""

    def __init__(self, threshold: float, factor: float) -> None:
        self._threshold = threshold
        self._factor = factor
        self._next = threshold

    def has_grown(self, value: float) -> bool:
        """Whether to tell of `value`; once it shrinks, growth counts from there."""
        if value < self._next:
            self._next = max(self._threshold, min(self._next, value * self._factor))
            return False
        self._next = value * self._factor
        return True
