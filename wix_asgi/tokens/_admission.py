"""Admission of the refreshes of an event loop: to the storage, and to Wix."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from wix_asgi.concurrency.slots import Slot, Slots
from wix_asgi.errors import StorageUnavailable
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.tokens.policy import RefreshPolicy

__all__ = ["Admission"]


class Admission:
    """Bounds how many refreshes read the storage and how many are at Wix, at one time."""

    def __init__(
        self,
        oauth: OAuthClient,
        *,
        policy: RefreshPolicy,
        jitter: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        """Ask `oauth` how Wix is; `jitter` gives 0 to 1."""
        self._oauth = oauth
        self._policy = policy
        self._jitter = jitter
        self._sleep = sleep
        self._at_wix = Slots(policy.max_refreshes)
        self._readers = Slots(policy.max_readers)

    def slot_at_wix(self) -> Slot:
        """Return a slot at Wix that is not taken yet."""
        return self._at_wix.slot()

    async def spread_arrivals(self) -> None:
        """Put the refresh off for a moment where others queue for the storage already."""
        if not self._readers.are_free:
            await self._sleep(self._policy.arrival_spread * self._jitter())

    async def reader_slot(self) -> Slot:
        """Queue for the storage, and return a slot to be released; lease holders go past the queue.

        Raises:
            StorageUnavailable: The policy's time for the queue is over.
        """
        slot = self._readers.slot()
        if not await slot.wait(self._policy.reader_wait):
            raise StorageUnavailable("Too many refreshes wait for the storage.")
        return slot

    def is_hopeless(self, slot: Slot) -> bool:
        """Whether another refresh would only queue: Wix fails, and too many wait for it already."""
        return self._oauth.is_crowded or (slot.was_missed and self._oauth.is_failing)
