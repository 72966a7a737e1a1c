"""One refresh on its way, as its steps hand it on."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from wix_asgi.concurrency.slots import Slot
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.leases.lease import Lease
from wix_asgi.tokens._lease_terms import RefreshTerms
from wix_asgi.tokens._storage_watch import Progress

__all__ = ["Attempt", "LeaseRanOut"]


class LeaseRanOut(Exception):
    """The lease ran out before Wix was asked."""


@dataclass(slots=True)
class Attempt:
    """The site of a refresh, and the lease, the slot and the progress that it has.

    Attributes:
        unwanted: Values of access tokens that it must not return; they may grow in number.
        lease: The lease on the installation, over all processes; its length is that of `terms`.
        slot: The slot at Wix, in this process.
        unchanged: The installation, where the lease was got with its row as it was read.
        is_question: Whether Wix is asked in any case, to hear whether the app is there still.
    """

    instance_id: str
    unwanted: Container[str]
    lease: Lease
    terms: RefreshTerms
    slot: Slot
    progress: Progress
    is_question: bool = False
    unchanged: StoredInstallation | None = None

    async def hold_lease(self) -> None:
        """Make sure of the lease for one request to Wix.

        Raises:
            LeaseRanOut: The process slept through it, and another process may have sent the same.
            StorageUnavailable: The storage cannot be reached.
        """
        if not await self.lease.cover(self.terms.seconds_to_send):
            raise LeaseRanOut
