"""The recheck of a cached token: its row is read once a minute, so that no removed site is served.

Another process may remove an installation, or make a new one. A token of client credentials lives
for hours, in which this process would never hear of it.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import anyio

from wix_asgi.concurrency.detached import DetachedTask
from wix_asgi.concurrency.slots import Slots
from wix_asgi.errors import StorageUnavailable, WixError
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.reporting.line_limit import LineLimit, and_more
from wix_asgi.reporting.one_line import one_line

__all__ = ["RecheckPolicy", "Rechecks"]

logger = logging.getLogger("wix_asgi")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecheckPolicy:
    """The moments and bounds of rechecks; all durations are seconds.

    Together the first three keep the promise that a removed site is served for 60 s at most, while
    the storage answers. There is no timer: a site without calls costs nothing.
    """

    pause: float = 50.0
    """How long after a read of its row the next call for a site has it read in the background.

    Times 0.8 to 1, by chance: sites that were read together are not read together again. Ten
    thousand sites in use are 220 reads a second of a process.
    """

    overdue: float = 55.0
    """How long after a read a call waits for the next one, such as the first call in an hour."""

    wait: float = 1.0
    """How long it waits. A read takes about a millisecond; a storage that answers late costs one
    call this long, and the calls after it nothing, until a read is answered in time."""

    retry_pause: float = 5.0
    """After a failed read, how long until the next; times 0.5 to 1.5, by chance."""

    max_reads: int = 2
    """Reads at one time on an event loop.

    Fewer than refreshes have (`RefreshPolicy.max_readers`): of the five connections that the
    smallest storage pool has, two are left for refreshes and installs.
    """

    line_interval: float = 60.0
    """Seconds between two log lines about failed reads."""


class Rechecks:
    """Reads rows of cached tokens, a few at one time; shared by all event loops of a process.

    Attributes:
        policy: The numbers of all rechecks.
        is_late: Whether the latest read failed, or took longer than a call waits for it.
    """

    def __init__(
        self,
        installations: InstallationRepository,
        *,
        policy: RecheckPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Read from `installations`; `clock` gives monotonic seconds, `jitter` 0 to 1."""
        self.policy = policy or RecheckPolicy()
        self.is_late = False
        self._installations = installations
        self._clock = clock
        self._jitter = jitter
        self._slots = Slots(self.policy.max_reads)
        self._lines = LineLimit(self.policy.line_interval, clock=clock)

    def may_begin(self, under_way: int, *, is_overdue: bool) -> bool:
        """Whether another one may begin on this event loop; only overdue ones queue for a read."""
        return under_way < self.policy.max_reads or (is_overdue and not self.is_late)

    async def wait_for(self, task: DetachedTask[None]) -> None:
        """Wait for the end of a recheck, within the bound that a call has for it."""
        with anyio.move_on_after(self.policy.wait):
            await task.wait()
            return
        self.is_late = True

    def due_after(self, read_at: float) -> float:
        """Return the moment from which the row is to be read again."""
        return read_at + self.policy.pause * (1 - 0.2 * self._jitter())

    def retry_at(self) -> float:
        """Return the moment from which the row is to be read again after a failure."""
        return self._clock() + self.policy.retry_pause * (0.5 + self._jitter())

    async def read(self, instance_id: str) -> StoredInstallation | None:
        """Read one row, or None where it is gone.

        Raises:
            Exception: It cannot be read now; that is logged.
        """
        began = self._clock()
        try:
            with self._slots.slot() as slot:
                if not (slot.take() or await slot.wait(self.policy.wait)):
                    raise StorageUnavailable("Too many rows are being read.")
                stored = await self._installations.get(instance_id)
        except Exception as exc:
            self.is_late = True
            self._note_failure(instance_id, exc)
            raise
        self.is_late = self._clock() - began > self.policy.wait
        return stored

    def _note_failure(self, instance_id: str, exc: Exception) -> None:
        left_out = self._lines.admit("unread")
        if left_out is not None:
            logger.warning(
                "whether site %s was removed cannot be seen, and its token is served: %s%s",
                instance_id,
                one_line(str(exc)) if isinstance(exc, WixError) else type(exc).__name__,
                and_more(left_out),
                extra={"instance_id": instance_id},
            )
