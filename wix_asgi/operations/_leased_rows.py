"""Rows that are rewritten under the lease of their refresh, so that no refresh is lost over it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from wix_asgi.installations.claims import refresh_lease
from wix_asgi.installations.scan import DatedRecord, RecordScan
from wix_asgi.leases.lease import FixedTerms, Lease
from wix_asgi.operations._decisions import Decision, Outcome
from wix_asgi.storage import Storage

__all__ = ["LeasedRows"]

_LEASE: Final = 5.0
"""Seconds of a lease. It is held for the milliseconds of a read and a write; a run that is killed
meanwhile holds up one refresh for this long, which is half of a caller's patience (10 s)."""

_WRITE: Final = 2.0
"""Seconds by which the lease must outlive the start of the write: many times a slow commit's."""

_POLL: Final = 0.25
"""Seconds between two tries for a lease that a worker holds: about one refresh."""

_GIVE_UP: Final = 30.0
"""Seconds after which a row is left to a later run. The longest lease lasts 20 s
(`RefreshPolicy.lease_margin`), so a killed worker's has run out by then."""


class LeasedRows:
    """Rewrites rows of one app while workers refresh and install.

    A worker whose refresh token is at Wix holds the lease. A row that is written meanwhile would
    have it drop the answer, and with it a rotated refresh token; so a row is read and written with
    the lease held, and by comparison.
    """

    def __init__(
        self,
        storage: Storage,
        app_id: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Work for the app `app_id`; `clock` gives monotonic seconds."""
        self._storage = storage
        self._app_id = app_id
        self._clock = clock
        self._sleep = sleep
        self._rows = RecordScan(storage, app_id, clock=clock)

    async def rewrite(
        self, instance_id: str, decide: Callable[[DatedRecord], Decision]
    ) -> Decision:
        """Write the row that `decide` returns for the row there is; return the last decision.

        `decide` is called again where a worker has written meanwhile.

        Raises:
            StorageUnavailable: The storage cannot be reached.
        """
        name = refresh_lease(self._app_id, instance_id)
        lease = Lease(
            self._storage,
            name,
            terms=FixedTerms(_LEASE),
            title="a migration's lease",
            clock=self._clock,
        )
        until = self._clock() + _GIVE_UP
        while not await lease.take():
            if self._clock() >= until:
                return Decision(Outcome.FAILED, "a worker is refreshing it all the time")
            await self._sleep(_POLL)
        try:
            return await self._rewrite(instance_id, decide, lease)
        finally:
            await lease.give_back()

    async def _rewrite(
        self, instance_id: str, decide: Callable[[DatedRecord], Decision], lease: Lease
    ) -> Decision:
        while (dated := await self._rows.get(instance_id)) is not None:
            decision = decide(dated)
            if decision.record is None:
                return decision
            if not await lease.cover(_WRITE):
                return Decision(Outcome.FAILED, "the storage answers too slowly")
            if await self._storage.replace(decision.record, expected=dated.record.version):
                return decision
        return Decision(Outcome.KEPT, "the app was removed meanwhile")
