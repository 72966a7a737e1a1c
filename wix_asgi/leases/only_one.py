"""Work that only one worker does at a time, over all tasks, processes and hosts."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import LeaseLost, StorageUnavailable
from wix_asgi.leases._covered_time import CoveredTime
from wix_asgi.leases.lease import RENEW_AFTER, FixedTerms, Lease
from wix_asgi.reporting.line_limit import LineLimit, and_more
from wix_asgi.reporting.one_line import one_line
from wix_asgi.storage import Storage

__all__ = ["OnlyOne", "OnlyOnePolicy"]

logger = logging.getLogger("wix_asgi")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlyOnePolicy:
    """The numbers of a lease on work; all are seconds.

    The words, and the ratio of the first two numbers, are those of leader election in Kubernetes
    (client-go: a lease of 15 s, a renew deadline of 10 s, a try every 2 s).
    """

    lease_ttl: float = 10.0
    """How long a lease lasts unless it is renewed: the wait for the work of a killed worker.

    A third of it passes between two renewals, so that one of them may fail.
    """

    renew_deadline: float = 7.0
    """How long after its latest renewal the work is cancelled.

    The rest of the lease, three seconds, is for the work to end before another worker begins. A
    renewal that begins late, as the process was held up, may take half of it.
    """

    poll_pause: float = 1.0
    """The pause between two tries for a lease that another worker has; times 0.5 to 1.5, by chance.

    A try is a write to the storage: one a second for each waiting worker.
    """

    log_pause: float = 60.0
    """The least time between two log lines about a storage that fails, for each name of work.

    Other lines about a storage that does not answer have the same limit.
    """


class OnlyOne:
    """Leases on the work of an app, by names of the app's choice."""

    def __init__(
        self,
        storage: Storage,
        app_id: str,
        detached: DetachedTasks,
        *,
        ready: Callable[[], Awaitable[object]],
        policy: OnlyOnePolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Keep leases in `storage`, which is open once `ready` was awaited.

        `clock` gives monotonic seconds, `jitter` 0 to 1.
        """
        self._storage = storage
        self._app_id = app_id
        self._detached = detached
        self._ready = ready
        self._policy = policy or OnlyOnePolicy()
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep
        self._lines = LineLimit(self._policy.log_pause, clock=clock)

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """Wait for the lease on `name`, and keep it while the block runs.

        Raises:
            LeaseLost: The lease could not be renewed in time, and the block was cancelled; the
                message names the cause.
            StorageUnavailable: The storage could not be opened.
        """
        await self._ready()
        lease = Lease(
            self._storage,
            # No app id has a space, so that the names of two apps are never the same.
            f"only_one:{self._app_id} {name}",
            terms=FixedTerms(self._policy.lease_ttl),
            title="the lease of only_one",
            margin=self._margin,
            clock=self._clock,
        )
        await self._wait_for(lease, name)
        # From here on without an await, in which the lease might run out.
        done = anyio.Event()
        usual = self._policy.renew_deadline - self._policy.lease_ttl * RENEW_AFTER
        covered = CoveredTime(lease, margin=self._margin, usual=usual, clock=self._clock)

        async def keep() -> None:
            await lease.renew_until(
                done,
                covered.note_renewed,
                asking=covered.note_asking,
                failed=covered.note_failed,
            )
            await lease.give_back()

        # Detached, so that a block that is cancelled twice gives its lease back, too.
        keeper = self._detached.start(keep)
        try:
            async with covered.deadline:
                yield
        finally:
            done.set()
            with anyio.CancelScope(shield=True):
                await keeper.wait()
        if covered.deadline.has_cancelled:
            lost = f"The lease on {one_line(name)!r} was lost, and its work cancelled"
            raise LeaseLost(f"{lost}: {covered.cause}.")

    async def _wait_for(self, lease: Lease, name: str) -> None:
        """Return when the lease is taken, and lasts long enough to begin."""
        while not await self._take(lease, name):
            await self._sleep(self._policy.poll_pause * (0.5 + self._jitter()))

    async def _take(self, lease: Lease, name: str) -> bool:
        try:
            await lease.take()
        except StorageUnavailable as exc:
            left_out = self._lines.admit(name)
            if left_out is not None:
                logger.warning(
                    "the storage fails, so that nobody can begin %r: %s%s",
                    one_line(name),
                    one_line(str(exc)),
                    and_more(left_out),
                )
            return False
        except BaseException:
            # Cancelled: the storage may have given the lease all the same.
            await lease.give_back()
            raise
        return lease.seconds_left > self._margin

    @property
    def _margin(self) -> float:
        """The seconds before the end of a lease in which its work has to end."""
        return self._policy.lease_ttl - self._policy.renew_deadline
