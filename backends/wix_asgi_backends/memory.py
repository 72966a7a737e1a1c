"""`memory://`: a storage in dictionaries, for tests and single processes; lost at its end."""

from __future__ import annotations

import bisect
import dataclasses
import heapq
import logging
import multiprocessing
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from wix_asgi.models import Record
from wix_asgi_backends._memory_events import MemoryEvents
from wix_asgi_backends._memory_purging import remove_in_batches

__all__ = ["MemoryStorage"]

logger = logging.getLogger("wix_asgi")

# Claims. Below a thousand they take some hundred kilobytes at most, and are left to `purge`.
_FEW: Final = 1000

# Claims whose ends each new claim looks at: two are more than the new one, so that the expired
# claims become fewer, and no claim waits for the removal of many.
_WITH_CLAIM: Final = 2


class MemoryStorage(MemoryEvents):
    """Keeps all in the memory of this process, for any number of event loops at once.

    From a thousand claims on each new claim removes up to two that have expired, so that the
    memory they take is bounded by the number of claims in use.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        """Start empty; `clock` gives seconds since 1970."""
        super().__init__(clock)
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: dict[tuple[str, str], tuple[Record, float]] = {}
        self._ids: defaultdict[str, list[str]] = defaultdict(list)
        self._claims: dict[str, tuple[str, float]] = {}
        # A heap of the ends of all claims, also of ends that a renewal or a release has made void.
        self._ends: list[tuple[float, str]] = []

    @classmethod
    def from_url(cls, _url: str) -> Self:
        """Return an empty storage: `memory://` has no parameters."""
        return cls()

    def __repr__(self) -> str:
        return f"<MemoryStorage of {len(self._rows)} installations>"

    @property
    def never_waits(self) -> bool:
        """Whether no method lets another task run: True of this class alone, no subclass."""
        return type(self) is MemoryStorage

    async def open(self) -> None:
        """Make the store ready."""
        if multiprocessing.parent_process() is not None:
            # A worker cannot see how many other workers its server has started.
            logger.warning(
                "memory:// belongs to one process: with several workers each has its own "
                "installations, and a state is good once in each"
            )

    async def aclose(self) -> None:
        """Do nothing: the storage stays usable, and keeps its contents."""

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def get(self, app_id: str, instance_id: str) -> Record | None:
        """Return the record of this installation, or None."""
        with self._lock:
            return self._read(app_id, instance_id)

    async def put(self, record: Record) -> None:
        """Write `record` over any earlier record of the installation."""
        with self._lock:
            self._put(record)

    async def add(self, record: Record) -> bool:
        """Write `record` only if there is none of the installation."""
        with self._lock:
            return self._add(record) is not None

    async def replace(self, record: Record, *, expected: str) -> bool:
        """Write `record` only if the stored version is `expected`."""
        with self._lock:
            return self._replace(record, expected)

    async def restore(self, record: Record, *, expected: str | None = None) -> bool:
        """Write `record` with its date, only if the stored version is `expected`, or none is."""
        with self._lock:
            stored = self._read(record.app_id, record.instance_id)
            if (stored and stored.version) != expected:
                return False
            self._put(record, record.installed_at)
            return True

    async def put_and_get(self, record: Record) -> Record:
        """Write `record`, and return it as it is stored."""
        with self._lock:
            return self._put(record)

    async def add_and_get(self, record: Record) -> Record | None:
        """Write `record` only if there is none of the installation; return it as it is stored."""
        with self._lock:
            return self._add(record)

    async def claim_unchanged(
        self, name: str, owner: str, ttl: float, *, app_id: str, instance_id: str, version: str
    ) -> bool:
        """Claim `name` only if the stored version is `version`, and no other owner holds it."""
        with self._lock:
            stored = self._read(app_id, instance_id)
            is_unchanged = stored is not None and stored.version == version
            return is_unchanged and self._claim(name, owner, ttl)

    async def replace_and_release(
        self, record: Record, *, expected: str, name: str, owner: str
    ) -> bool:
        """Write `record` only if the stored version is `expected`, and free `name` only then."""
        with self._lock:
            is_written = self._replace(record, expected)
            if is_written:
                self._release(name, owner)
            return is_written

    async def delete(
        self, app_id: str, instance_id: str, *, installed_before: datetime | None = None
    ) -> bool:
        """Remove this installation, unless it was made at or after `installed_before`."""
        with self._lock:
            stored = self._read(app_id, instance_id)
            if stored is None or not _is_before(stored, installed_before):
                return False
            del self._rows[app_id, instance_id]
            ids = self._ids[app_id]
            del ids[bisect.bisect_left(ids, instance_id)]
            if not ids:
                del self._ids[app_id]
            return True

    async def scan(self, app_id: str, *, after: str = "", limit: int = 100) -> Sequence[Record]:
        """Return one page of records, in the order of their ids."""
        with self._lock:
            ids = self._ids.get(app_id, [])
            start = bisect.bisect_right(ids, after)
            page = (self._read(app_id, instance_id) for instance_id in ids[start : start + limit])
            return [record for record in page if record]

    async def claim(self, name: str, owner: str, ttl: float) -> bool:
        """Claim `name` for `owner` unless another owner holds it."""
        with self._lock:
            return self._claim(name, owner, ttl)

    async def release(self, name: str, owner: str) -> None:
        """Free `name` if `owner` holds it."""
        with self._lock:
            self._release(name, owner)

    async def claim_owner(self, name: str) -> str | None:
        """Return the owner that has `name` now, or None."""
        with self._lock:
            owner, until = self._claims.get(name, ("", 0.0))
            return owner if until > self._clock() else None

    async def purge(self) -> int:
        """Remove up to fifty thousand expired claims, and return their number."""
        return await remove_in_batches(self._lock, self._remove_expired, self._has_expired)

    def _remove_expired(self, ends: int) -> int:
        """Remove the claims of up to `ends` passed ends; return the number removed."""
        now, removed = self._clock(), 0
        while ends and self._ends and self._ends[0][0] <= now:
            _, name = heapq.heappop(self._ends)
            if name in self._claims and self._claims[name][1] <= now:
                del self._claims[name]
                removed += 1
            ends -= 1
        return removed

    def _has_expired(self) -> bool:
        return bool(self._ends) and self._ends[0][0] <= self._clock()

    def _claim(self, name: str, owner: str, ttl: float) -> bool:
        now = self._clock()
        holder, until = self._claims.get(name, (owner, now))
        if holder != owner and until > now:
            return False
        self._claims[name] = owner, now + ttl
        heapq.heappush(self._ends, (now + ttl, name))
        if len(self._ends) > _FEW:
            self._remove_expired(_WITH_CLAIM)
        return True

    def _release(self, name: str, owner: str) -> None:
        if name in self._claims and self._claims[name][0] == owner:
            del self._claims[name]

    def _add(self, record: Record) -> Record | None:
        is_known = (record.app_id, record.instance_id) in self._rows
        return None if is_known else self._put(record)

    def _replace(self, record: Record, expected: str) -> bool:
        stored = self._read(record.app_id, record.instance_id)
        if stored is None or stored.version != expected:
            return False
        self._write(record, stored.installed_at)
        return True

    def _put(self, record: Record, installed_at: datetime | None = None) -> Record:
        installed_at = installed_at or datetime.fromtimestamp(self._clock(), UTC)
        if (record.app_id, record.instance_id) not in self._rows:
            bisect.insort(self._ids[record.app_id], record.instance_id)
        return self._write(record, installed_at)

    def _write(self, record: Record, installed_at: datetime | None) -> Record:
        kept = dataclasses.replace(record, installed_at=installed_at)
        self._rows[record.app_id, record.instance_id] = kept, self._clock()
        return kept

    def _read(self, app_id: str, instance_id: str) -> Record | None:
        if (app_id, instance_id) not in self._rows:
            return None
        record, written_at = self._rows[app_id, instance_id]
        passed = self._clock() - written_at
        return dataclasses.replace(
            record, expires_in=record.expires_in - passed, retry_in=record.retry_in - passed
        )


def _is_before(record: Record, moment: datetime | None) -> bool:
    return moment is None or record.installed_at is None or record.installed_at < moment
