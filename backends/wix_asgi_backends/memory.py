"""`memory://`: a dictionary, for tests and for one process; gone when it stops."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from wix_asgi.models import Record

__all__ = ["MemoryStorage"]

_PURGE_EVERY = 1000


class MemoryStorage:
    """Installations in this process's memory; good on any event loop, in one process only."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        """Start empty; `clock` gives seconds since the epoch."""
        self._clock = clock
        self._rows: dict[tuple[str, str], tuple[Record, float]] = {}
        self._claims: dict[str, tuple[str, float]] = {}
        self._claims_until_purge = _PURGE_EVERY

    @classmethod
    def from_url(cls, _url: str) -> Self:
        """Return an empty storage: there is nothing to choose in `memory://`."""
        return cls()

    async def open(self) -> None:
        """Do nothing: it is always open."""

    async def aclose(self) -> None:
        """Do nothing: what is stored stays until the process ends."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    async def get(self, app_id: str, instance_id: str) -> Record | None:
        """Return the record of this installation, or None."""
        return self._read((app_id, instance_id))

    async def put(self, record: Record) -> None:
        """Write `record` whatever was there."""
        now = self._clock()
        installed = dataclasses.replace(record, installed_at=datetime.fromtimestamp(now, UTC))
        self._rows[record.app_id, record.instance_id] = installed, now

    async def replace(self, record: Record, *, expected: str) -> bool:
        """Write `record` only where the stored version is `expected`."""
        key = record.app_id, record.instance_id
        if key not in self._rows or self._rows[key][0].version != expected:
            return False
        installed_at = self._rows[key][0].installed_at
        self._rows[key] = dataclasses.replace(record, installed_at=installed_at), self._clock()
        return True

    async def delete(
        self, app_id: str, instance_id: str, *, installed_before: datetime | None = None
    ) -> bool:
        """Remove this installation, unless it was made at or after `installed_before`."""
        record = self._read((app_id, instance_id))
        if record is None:
            return False
        if installed_before and record.installed_at and record.installed_at >= installed_before:
            return False
        del self._rows[app_id, instance_id]
        return True

    async def scan(self, app_id: str, *, after: str = "", limit: int = 100) -> Sequence[Record]:
        """Return one page of this app's records, behind `after`."""
        keys = sorted(key for key in self._rows if key[0] == app_id and key[1] > after)
        return [record for key in keys[:limit] if (record := self._read(key))]

    async def claim(self, name: str, owner: str, ttl: float) -> bool:
        """Take `name` for `owner`, unless another owner has it."""
        now = self._clock()
        holder, until = self._claims.get(name, (owner, now))
        if holder != owner and until > now:
            return False
        self._claims[name] = owner, now + ttl
        self._claims_until_purge -= 1
        if self._claims_until_purge <= 0:
            await self.purge()
        return True

    async def release(self, name: str, owner: str) -> None:
        """Free `name` if `owner` has it."""
        if self._claims.get(name, ("", 0))[0] == owner:
            del self._claims[name]

    async def purge(self) -> int:
        """Remove the claims whose seconds are over."""
        now, before = self._clock(), len(self._claims)
        self._claims = {name: held for name, held in self._claims.items() if held[1] > now}
        self._claims_until_purge = _PURGE_EVERY
        return before - len(self._claims)

    def _read(self, key: tuple[str, str]) -> Record | None:
        if key not in self._rows:
            return None
        record, written_at = self._rows[key]
        passed = self._clock() - written_at
        return dataclasses.replace(
            record, expires_in=record.expires_in - passed, retry_in=record.retry_in - passed
        )
