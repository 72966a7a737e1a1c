"""A lease in storage: of all tasks of all processes, one at a time does the work."""

from __future__ import annotations

import contextlib
import logging
import math
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol, TypeVar

import anyio

from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import Record
from wix_asgi.storage import CombiningStorage, Storage

__all__ = ["RENEW_AFTER", "FixedTerms", "Lease", "RenewedLease", "RowVersion", "Terms"]

T = TypeVar("T")

logger = logging.getLogger("wix_asgi")

# Shares of the time for which the lease was taken.

RENEW_AFTER: Final = 1 / 3
"""When the holder renews: one renewal may fail, or come late, and the next is still in time."""

_MIN_RENEWAL_PAUSE: Final = 1 / 6
"""The least pause between two renewals, which spares a storage that answers late."""


class Terms(Protocol):
    """For how long leases are taken."""

    @property
    def ttl(self) -> float:
        """How many seconds a lease is taken for now."""
        ...

    def note_delay(self, seconds: float) -> None:
        """Note by how much a claim was answered later than at its moment."""
        ...


@dataclass(frozen=True, slots=True)
class FixedTerms:
    """Leases that always last `ttl` seconds."""

    ttl: float

    def note_delay(self, seconds: float) -> None:
        """Change nothing."""


class RenewedLease(ABC):
    """A lease that is taken for some seconds at a time, and renewed while the work goes on.

    A holder that is killed or frozen holds up other processes for no more than those seconds. No
    connection and no lock of the database is held meanwhile.
    """

    def __init__(
        self,
        name: str,
        *,
        terms: Terms,
        title: str,
        margin: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin without the lease.

        `terms` tell for how long it is taken; log lines begin with `title` and end with `name`;
        its holder gives up `margin` seconds before its end; `clock` gives monotonic seconds.
        """
        self._name = name
        self._terms = terms
        self._title = title
        self._margin = margin
        self._clock = clock
        self._asked_at = self._ends_at = -math.inf
        self._ttl = 0.0

    @abstractmethod
    async def _ask(self, ttl: float) -> bool:
        """Ask the storage for `ttl` seconds from now; return whether they are ours."""

    @property
    def is_held(self) -> bool:
        """Whether no other owner has had it since `take`: its seconds count from before the ask."""
        return self._clock() < self._ends_at

    @property
    def seconds_left(self) -> float:
        """How long it is held if it is not renewed; negative where it is not held."""
        return self._ends_at - self._clock()

    def is_due(self, pause: float) -> bool:
        """Whether to ask for it: at first, and then when `pause` has passed since the last time."""
        return self._clock() - self._asked_at >= pause

    async def renew(self) -> None:
        """Hold the lease for longer, unless another owner has it, or it ran out meanwhile.

        A lease that ran out may have been another owner's meanwhile. It is claimed all the same,
        to keep others away from the work that is under way, but it is not held any more.
        """
        ends_at = await self._claim()
        is_ours = self.is_held and ends_at > -math.inf
        self._ends_at = max(ends_at, self._ends_at) if is_ours else -math.inf

    def seconds_to_renewal(self) -> float:
        """Return the seconds after which the holder renews."""
        # Counted from when the lease was asked for, since a busy storage answers late.
        pause = self._asked_at + self._ttl * RENEW_AFTER - self._clock()
        return max(pause, self._min_pause())

    async def cover(self, seconds: float) -> bool:
        """Renew the lease if it ends within `seconds`; return whether it lasts longer now.

        Raises:
            StorageUnavailable: The storage cannot be reached.
        """
        if self.is_held and self.seconds_left < seconds:
            await self.renew()
        return self.is_held and self.seconds_left >= seconds

    async def while_renewing(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` and keep the lease until it is done.

        Raises:
            Exception: The error that `work` raised.
        """
        outcome: list[T] = []
        error: Exception | None = None
        done = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self.renew_until, done)
            try:
                outcome.append(await work())
            except Exception as exc:
                error = exc
            # Not cancelled: a renewal that is cut off costs a connection, and may come too late.
            done.set()
        if error is not None:
            raise error
        return outcome[0]

    async def renew_until(
        self,
        done: anyio.Event,
        renewed: Callable[[], object] = lambda: None,
        *,
        is_due: bool = False,
        asking: Callable[[], object] = lambda: None,
        failed: Callable[[Exception], object] = lambda _: None,
    ) -> None:
        """Keep the lease until `done`; a renewal that fails is logged, and repeated.

        `asking` is called before each renewal, and after it `renewed`, when the storage has
        answered, or `failed` with its error. Where the first renewal `is_due`, it begins at once.
        """
        while not done.is_set():
            due_at = self._clock() + (0.0 if is_due else self.seconds_to_renewal())
            is_due = False
            with anyio.move_on_after(due_at - self._clock()):
                await done.wait()
                return
            # A busy machine wakes this task late.
            self._terms.note_delay(self._clock() - due_at)
            asking()
            try:
                await self.renew()
            except Exception as exc:
                # The work goes on: whether it may is not for its lease to say.
                self._tell_failure(exc)
                failed(exc)
            else:
                renewed()

    def _tell_failure(self, error: Exception) -> None:
        logger.warning(
            "%s could not be renewed: %s (%s)", self._title, type(error).__name__, self._name
        )

    async def _claim(self) -> float:
        """Ask for the lease; return the moment of its end, which is past where it is not ours."""
        asked_at = self._asked_at = self._clock()
        ttl = self._terms.ttl
        is_ours = await self._ask(ttl)
        self._terms.note_delay(self._clock() - asked_at)
        self._ttl = ttl
        return asked_at + ttl if is_ours else -math.inf

    def _min_pause(self) -> float:
        """Return a pause that spares a slow storage and does not let the lease run out."""
        pause = self._ttl * _MIN_RENEWAL_PAUSE
        rest = max(0.0, self.seconds_left - self._margin)
        return min(pause, rest / 2) if self.is_held else pause


@dataclass(frozen=True, slots=True)
class RowVersion:
    """The version of an installation's row, as it was read."""

    app_id: str
    instance_id: str
    version: str


class Lease(RenewedLease):
    """A name in the storage: of all owners at most one holds it.

    Attributes:
        is_of_row: Whether `take` has got the lease with the row at the version that it was given.
    """

    is_of_row = False

    def __init__(
        self,
        storage: Storage,
        name: str,
        *,
        terms: Terms,
        title: str,
        margin: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to hold `name`, under an owner's name that no other lease has."""
        super().__init__(name, terms=terms, title=title, margin=margin, clock=clock)
        self._storage = storage
        self._owner = secrets.token_hex(16)
        self._row: RowVersion | None = None
        # When the lease was asked for last, as a replacement freed it; NaN is no such moment.
        self._freed_after = math.nan

    @cached_property
    def _combining(self) -> CombiningStorage | None:
        # Asked when the lease is: a refresh that finds a token in the storage takes none, and to
        # compare a storage with a protocol takes 20 us.
        return self._storage if isinstance(self._storage, CombiningStorage) else None

    async def take(self, row: RowVersion | None = None) -> bool:
        """Try to get the lease, once; return whether it is ours.

        With a `row` it is got only where the row still has that version, if the storage can compare
        it in the same step (`CombiningStorage`): see `is_of_row`.
        """
        self._ends_at = -math.inf
        self._row = row if self._combining else None
        try:
            self._ends_at = await self._claim()
        finally:
            # A renewal claims the name, whatever has become of the row.
            self._row, taken_for = None, self._row
        self.is_of_row = taken_for is not None and self.is_held
        return self.is_held

    async def replace(self, record: Record, *, expected: str) -> bool:
        """Do as `Storage.replace` does; where it writes, it frees the lease if the storage can."""
        if self._combining is None:
            return await self._storage.replace(record, expected=expected)
        asked_at = self._asked_at
        is_written = await self._combining.replace_and_release(
            record, expected=expected, name=self._name, owner=self._owner
        )
        if is_written:
            self._freed_after = asked_at
        return is_written

    async def give_back(self) -> None:
        """Free the lease if it is still ours; a lease that cannot be freed runs out by itself."""
        # A renewal beside the replacement may have come after it.
        is_free = self._asked_at == self._freed_after
        self._asked_at = self._ends_at = -math.inf
        if is_free:
            return
        with anyio.CancelScope(shield=True), contextlib.suppress(StorageUnavailable):
            await self._storage.release(self._name, self._owner)

    async def _ask(self, ttl: float) -> bool:
        if self._combining is None or self._row is None:
            return await self._storage.claim(self._name, self._owner, ttl)
        return await self._combining.claim_unchanged(
            self._name,
            self._owner,
            ttl,
            app_id=self._row.app_id,
            instance_id=self._row.instance_id,
            version=self._row.version,
        )
