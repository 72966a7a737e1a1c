"""The renewals of an event's lease, for which nothing is begun before the first of them is due."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType

import anyio

from wix_asgi.concurrency.call_later import call_later
from wix_asgi.concurrency.detached import DetachedTask, DetachedTasks
from wix_asgi.webhooks._event_lease import EventLease

__all__ = ["Renewing"]


class Renewing:
    """Renews a lease for as long as the block of an `async with` lasts.

    Most handlers end before the first renewal, and pay for a timer instead of a task. The end of
    the block waits for a renewal under way, unless it is cancelled.
    """

    def __init__(
        self, lease: EventLease, renewed: Callable[[], object], *, detached: DetachedTasks
    ) -> None:
        """Call `renewed` after each renewal that the storage has answered."""
        self._lease = lease
        self._renewed = renewed
        self._detached = detached
        self._done = anyio.Event()
        self._task: DetachedTask[None] | None = None

    async def __aenter__(self) -> None:
        seconds = self._lease.seconds_to_renewal()
        self._cancel_timer = call_later(seconds, self._begin)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cancel_timer()
        self._done.set()
        if self._task is None:
            return
        try:
            await self._task.wait()
        except BaseException:
            self._task.cancel()
            raise

    def _begin(self) -> None:
        renew = functools.partial(self._lease.renew_until, self._done, self._renewed, is_due=True)
        self._task = self._detached.start(renew)
