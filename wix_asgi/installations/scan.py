"""Reads all records of an app, page by page, and keeps their durations running down."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Self

from wix_asgi.installations._bounds import believed
from wix_asgi.models import Record
from wix_asgi.storage import Storage

__all__ = ["DatedRecord", "RecordScan"]

# Records. The default of `Storage.scan`: a page stays small in memory, and a scan of ten thousand
# installations takes a hundred calls.
_PAGE: Final = 100


@dataclasses.dataclass(frozen=True, slots=True)
class DatedRecord:
    """A record, and the moment from which its durations run down.

    Attributes:
        record: The record, with `expires_in` and `retry_in` as they were at the moment `at`.
        at: The moment before the storage was called, in seconds of the monotonic `clock`.
        clock: The monotonic clock of this process, in seconds.
    """

    record: Record
    at: float
    clock: Callable[[], float]

    def as_of_now(self, **changes: Any) -> Record:
        """Return the record to write now: its durations are shorter by the time since the read.

        Without that, a token written back would seem to live longer than it does.
        """
        passed = self.clock() - self.at
        return dataclasses.replace(
            self.record,
            expires_in=self.record.expires_in - passed,
            retry_in=self.record.retry_in - passed,
            **changes,
        )


class RecordScan:
    """Iterates once over the records of one app, in the order of their instance ids.

    Writes during the scan do not disturb it: a record that is there from the beginning to the end
    comes up exactly once. This is a class because an async generator that its caller abandons must
    be finalized by the event loop later, which trio reports as a ResourceWarning.

    Raises:
        StorageUnavailable: The storage cannot be reached; from `async for`, `anext` and `get`.
    """

    def __init__(
        self,
        storage: Storage,
        app_id: str,
        *,
        after: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin behind the instance id `after`; `clock` gives monotonic seconds."""
        self._storage = storage
        self._app_id = app_id
        self._clock = clock
        self._page: deque[DatedRecord] = deque()
        self._after = after
        self._has_more_pages = True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DatedRecord:
        if not self._page and self._has_more_pages:
            await self._read_page()
        if not self._page:
            raise StopAsyncIteration
        return self._page.popleft()

    async def get(self, instance_id: str) -> DatedRecord | None:
        """Read one record anew, or None if it is gone; the scan stays at its position."""
        at = self._clock()
        record = await self._storage.get(self._app_id, instance_id)
        return None if record is None else DatedRecord(believed(record), at, self._clock)

    async def _read_page(self) -> None:
        at = self._clock()
        found = await self._storage.scan(self._app_id, after=self._after, limit=_PAGE)
        self._page.extend(DatedRecord(believed(record), at, self._clock) for record in found)
        # The contract of `Storage.scan`: a page shorter than its limit is the last.
        self._has_more_pages = len(found) == _PAGE
        if found:
            self._after = found[-1].instance_id
