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

TTL: Final = 2.0


class Lease:
    """A name held for two seconds at a time, renewed while the work goes on.

    A holder that is killed or frozen costs the others no more than those two seconds. No
    connection and no lock of the database is held meanwhile.
    """

    def __init__(
        self, storage: Storage, name: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepare to hold `name`, as an owner like no other; `clock` gives monotonic seconds."""
        self._storage = storage
        self._name = name
        self._clock = clock
        self._owner = secrets.token_hex(16)
        self._asked_at = self._ends_at = -math.inf

    @property
    def is_held(self) -> bool:
        """Whether nobody else can have it: its seconds count from before it was asked for."""
        return self._clock() < self._ends_at

    @property
    def is_due(self) -> bool:
        """Whether to ask for it: at first, and a few times in its two seconds from then on.

        No more often, since a holder that ends well leaves word in what the lease is for.
        """
        return self._clock() - self._asked_at >= TTL / 5

    async def take(self) -> bool:
        """Try to get the lease, once."""
        self._asked_at = self._clock()
        is_ours = await self._storage.claim(self._name, self._owner, TTL)
        self._ends_at = self._asked_at + TTL if is_ours else -math.inf
        return is_ours

    async def give_back(self) -> None:
        """Free the lease if it is still ours; one that cannot be freed runs out by itself."""
        self._asked_at = self._ends_at = -math.inf
        with anyio.CancelScope(shield=True), contextlib.suppress(StorageUnavailable):
            await self._storage.release(self._name, self._owner)

    async def while_renewing(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` and keep the lease until it is done.

        Raises:
            Exception: Whatever the work raised.
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
            # Counted from when it was asked for, since a busy storage answers late.
            pause = self._asked_at + TTL / 3 - self._clock()
            with anyio.move_on_after(max(pause, self._shortest_pause())):
                await done.wait()
                return
            try:
                await self.take()
            except Exception as exc:
                # The work goes on: what it brings is stored by comparison, not by this lease.
                logger.warning("a refresh lease could not be renewed: %s", type(exc).__name__)

    def _shortest_pause(self) -> float:
        """Return what spares a storage that answers late, and does not let the lease run out."""
        left = self._ends_at - self._clock()
        return min(TTL / 6, left / 2) if left > 0 else TTL / 6
