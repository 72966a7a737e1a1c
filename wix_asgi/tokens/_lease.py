"""A lease in storage: of all tasks of all processes, one at a time does the work."""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

from wix_asgi.errors import StorageUnavailable
from wix_asgi.storage import Storage

__all__ = ["Lease"]

T = TypeVar("T")

logger = logging.getLogger("wix_asgi")

# Shares of the lease's time to live.

_RENEW_AFTER: Final = 1 / 3
"""When the holder renews: one renewal may fail, or come late, and the next is still in time."""

_MIN_RENEWAL_PAUSE: Final = 1 / 6
"""The least pause between two renewals, which spares a storage that answers late."""

_ASK_EVERY: Final = 1 / 5
"""How often a waiting process asks for the lease: some five times until a dead holder's runs out.

It reads the row more often than that: a claim is a write, and a holder that ends well stores its
outcome in the row. (Asking at each read kept a hundred installations over four processes waiting
0.3 s longer than their one refresh.)
"""


class Lease:
    """A name held for `ttl` seconds at a time, and renewed while the work goes on.

    A holder that is killed or frozen holds up other processes for no more than those seconds. No
    connection and no lock of the database is held meanwhile.
    """

    def __init__(
        self,
        storage: Storage,
        name: str,
        *,
        ttl: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to hold `name`, under an owner's name that no other lease has.

        `ttl` and `clock` are in seconds; the clock is monotonic.
        """
        self._storage = storage
        self._name = name
        self._ttl = ttl
        self._clock = clock
        self._owner = secrets.token_hex(16)
        self._asked_at = self._ends_at = -math.inf

    @property
    def is_held(self) -> bool:
        """Whether no other owner can have it: its seconds count from before it was asked for."""
        return self._clock() < self._ends_at

    @property
    def is_due(self) -> bool:
        """Whether to ask for it: at first, and then every fifth of its time to live."""
        return self._clock() - self._asked_at >= self._ttl * _ASK_EVERY

    async def take(self) -> bool:
        """Try to get or to renew the lease, once; return whether it is ours."""
        self._asked_at = self._clock()
        is_ours = await self._storage.claim(self._name, self._owner, self._ttl)
        self._ends_at = self._asked_at + self._ttl if is_ours else -math.inf
        return is_ours

    async def give_back(self) -> None:
        """Free the lease if it is still ours; a lease that cannot be freed runs out by itself."""
        self._asked_at = self._ends_at = -math.inf
        with anyio.CancelScope(shield=True), contextlib.suppress(StorageUnavailable):
            await self._storage.release(self._name, self._owner)

    async def while_renewing(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` and keep the lease until it is done.

        Raises:
            Exception: The error that `work` raised.
        """
        outcome: list[T] = []
        error: Exception | None = None
        done = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._renew_until, done)
            try:
                outcome.append(await work())
            except Exception as exc:
                error = exc
            # Not cancelled: a renewal that is cut off costs a connection, and may come too late.
            done.set()
        if error is not None:
            raise error
        return outcome[0]

    async def _renew_until(self, done: anyio.Event) -> None:
        while not done.is_set():
            # Counted from when the lease was asked for, since a busy storage answers late.
            pause = self._asked_at + self._ttl * _RENEW_AFTER - self._clock()
            with anyio.move_on_after(max(pause, self._min_pause())):
                await done.wait()
                return
            try:
                await self.take()
            except Exception as exc:
                # The work goes on: its outcome is stored by comparison, not by this lease.
                logger.warning(
                    "a refresh lease could not be renewed: %s (%s)", type(exc).__name__, self._name
                )

    def _min_pause(self) -> float:
        """Return a pause that spares a slow storage and does not let the lease run out."""
        pause = self._ttl * _MIN_RENEWAL_PAUSE
        left = self._ends_at - self._clock()
        return min(pause, left / 2) if left > 0 else pause
