"""Reading all records of an app a page at a time, with durations that go on running down."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from wix_asgi.models import Record
from wix_asgi.storage import Storage

__all__ = ["DatedRecord", "RecordScan"]

_PAGE: Final = 100


@dataclasses.dataclass(frozen=True, slots=True)
class DatedRecord:
    """A record, and since when its durations run down.

    Attributes:
        at: This process's monotonic clock before the storage was asked.
    """

    record: Record
    at: float
    clock: Callable[[], float]

    def as_of_now(self, **changes: Any) -> Record:
        """Return the record to write at this moment, so that nothing in it lives any longer."""
        passed = self.clock() - self.at
        return dataclasses.replace(
            self.record,
            expires_in=self.record.expires_in - passed,
            retry_in=self.record.retry_in - passed,
            **changes,
        )


class RecordScan:
    """Gives the records of one app in the order of their instance ids; good for one time through.

    Writes beside it do not disturb it: a record that stays is given once.
    """

    def __init__(
        self, storage: Storage, app_id: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin before the first record; `clock` gives monotonic seconds."""
        self._storage = storage
        self._app_id = app_id
        self._clock = clock
        self._page: deque[DatedRecord] = deque()
        self._after = ""
        self._more = True

    async def next(self) -> DatedRecord | None:
        """Return the next record, or None behind the last.

        Raises:
            StorageUnavailable: The storage cannot be reached.
        """
        if not self._page and self._more:
            await self._turn()
        return self._page.popleft() if self._page else None

    async def get(self, instance_id: str) -> DatedRecord | None:
        """Read one record anew, or None where it is gone; it moves nothing.

        Raises:
            StorageUnavailable: The storage cannot be reached.
        """
        at = self._clock()
        record = await self._storage.get(self._app_id, instance_id)
        return None if record is None else DatedRecord(record, at, self._clock)

    async def _turn(self) -> None:
        at = self._clock()
        found = await self._storage.scan(self._app_id, after=self._after, limit=_PAGE)
        self._page.extend(DatedRecord(record, at, self._clock) for record in found)
        self._more = len(found) == _PAGE
        if found:
            self._after = found[-1].instance_id
