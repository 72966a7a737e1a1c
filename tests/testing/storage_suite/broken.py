"""Storages with one fault each, as they are met in the wild."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import anyio

from tests.support import StepByStep
from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import Record
from wix_asgi_backends.memory import MemoryStorage

V = TypeVar("V")


class SelectThenDelete(StepByStep):
    """Looks whether a name is free, and then takes it: two steps, with others in between."""

    async def claim(self, name: str, owner: str, ttl: float) -> bool:
        holder, until = self._claims.get(name, (owner, 0.0))
        if holder != owner and until > time.time():
            return False
        await anyio.lowlevel.checkpoint()
        self._claims.pop(name, None)
        return await super().claim(name, owner, ttl)


class LastWriterWins(StepByStep):
    """Replaces a record without comparing its version."""

    async def replace(self, record: Record, *, expected: str) -> bool:
        del expected
        stored = await self.get(record.app_id, record.instance_id)
        return stored is not None and await super().replace(record, expected=stored.version)


class NaiveTimes(StepByStep):
    """Keeps times without their zone."""

    async def get(self, app_id: str, instance_id: str) -> Record | None:
        stored = await super().get(app_id, instance_id)
        return stored and _without_zone(stored)

    async def scan(self, app_id: str, *, after: str = "", limit: int = 100) -> Sequence[Record]:
        return [_without_zone(r) for r in await super().scan(app_id, after=after, limit=limit)]

    async def delete(
        self, app_id: str, instance_id: str, *, installed_before: datetime | None = None
    ) -> bool:
        moment = installed_before and installed_before.replace(tzinfo=UTC)
        return await super().delete(app_id, instance_id, installed_before=moment)


class FoldedKeys(StepByStep):
    """Compares keys as a database with the usual collation does."""

    def __init__(self) -> None:
        super().__init__()
        self._rows = _Folded()
        self._claims = _Folded()


class SwallowedErrors(StepByStep):
    """Takes a database that is down for an empty database."""

    def __init__(self, *, is_down: bool = False) -> None:
        super().__init__()
        self._is_down = is_down

    async def open(self) -> None:
        self._connect()

    async def get(self, app_id: str, instance_id: str) -> Record | None:
        return None if self._is_down else await super().get(app_id, instance_id)

    async def put(self, record: Record) -> None:
        self._connect()
        await super().put(record)

    async def replace(self, record: Record, *, expected: str) -> bool:
        return not self._is_down and await super().replace(record, expected=expected)

    async def delete(
        self, app_id: str, instance_id: str, *, installed_before: datetime | None = None
    ) -> bool:
        return not self._is_down and await super().delete(
            app_id, instance_id, installed_before=installed_before
        )

    async def scan(self, app_id: str, *, after: str = "", limit: int = 100) -> Sequence[Record]:
        return [] if self._is_down else await super().scan(app_id, after=after, limit=limit)

    async def claim(self, name: str, owner: str, ttl: float) -> bool:
        return not self._is_down and await super().claim(name, owner, ttl)

    async def release(self, name: str, owner: str) -> None:
        self._connect()
        await super().release(name, owner)

    async def purge(self) -> int:
        self._connect()
        return await super().purge()

    def _connect(self) -> None:
        if self._is_down:
            raise StorageUnavailable from ConnectionRefusedError()


class UncountedPurge(StepByStep):
    """Purges, and says that nothing was left to purge: its callers stop after a part."""

    async def purge(self) -> int:
        await super().purge()
        return 0


class OneByOne(StepByStep):
    """Purges a claim with each call, which is slow, and no fault."""

    async def purge(self) -> int:
        with self._lock:
            now = time.time()
            expired = next((name for name, held in self._claims.items() if held[1] <= now), None)
            if expired is None:
                return 0
            del self._claims[expired]
            return 1


class LooksThenAdds(StepByStep):
    """Looks whether a record is there, and then writes it: two steps, with others in between."""

    async def add(self, record: Record) -> bool:
        if await self.get(record.app_id, record.instance_id) is not None:
            return False
        await anyio.lowlevel.checkpoint()
        await self.put(record)
        return True


class AddsOver(StepByStep):
    """Writes over a record that is there, and says so."""

    async def add(self, record: Record) -> bool:
        is_new = await super().add(record)
        await self.put(record)
        return is_new


class FormerFields(StepByStep):
    """Can add, and keeps the fields that records had before."""

    def _write(self, record: Record, installed_at: datetime | None) -> Record:
        former = replace(record, grant_type=None, origin_instance_id=None, owes_on_install=False)
        return super()._write(former, installed_at)


class FoldedOwners(StepByStep):
    """Tells owners as a database with the usual collation does."""

    async def claim_owner(self, name: str) -> str | None:
        owner = await super().claim_owner(name)
        return owner and owner.strip().lower()


class _Folded(dict[Any, V]):
    def __getitem__(self, key: object) -> V:
        return super().__getitem__(_fold(key))

    def __setitem__(self, key: object, value: V) -> None:
        super().__setitem__(_fold(key), value)

    def __delitem__(self, key: object) -> None:
        super().__delitem__(_fold(key))

    def __contains__(self, key: object) -> bool:
        return super().__contains__(_fold(key))

    def get(self, key: object, default: Any = None) -> Any:
        return super().get(_fold(key), default)


def _fold(key: Any) -> Any:
    """Fold a name, or the two ids of a key."""
    return key.lower() if isinstance(key, str) else tuple(map(_fold, key))


def _without_zone(record: Record) -> Record:
    moment = record.installed_at
    return replace(record, installed_at=moment and moment.replace(tzinfo=None))


class ClaimsAnyVersion(MemoryStorage):
    """Claims a name beside a row, whatever has become of the row since."""

    async def claim_unchanged(self, name: str, owner: str, ttl: float, **row: str) -> bool:
        del row
        return await self.claim(name, owner, ttl)


class KeepsTheName(MemoryStorage):
    """Replaces a record, and frees no name with it."""

    async def replace_and_release(
        self, record: Record, *, expected: str, name: str, owner: str
    ) -> bool:
        del name, owner
        return await self.replace(record, expected=expected)


class RestoresAsNow(MemoryStorage):
    """Writes a copied record as an install of this moment."""

    async def restore(self, record: Record, *, expected: str | None = None) -> bool:
        return await super().restore(replace(record, installed_at=None), expected=expected)


class ReturnsWhatWasPut(MemoryStorage):
    """Returns the record that it was given, in place of the one that it keeps."""

    async def put_and_get(self, record: Record) -> Record:
        await self.put(record)
        return record

    async def add_and_get(self, record: Record) -> Record | None:
        await self.add(record)
        return record


class ClaimsOverOthers(MemoryStorage):
    """Claims a name beside an unchanged row, whoever has it."""

    async def claim_unchanged(
        self, name: str, owner: str, ttl: float, *, app_id: str, instance_id: str, version: str
    ) -> bool:
        stored = await self.get(app_id, instance_id)
        if stored is None or stored.version != version:
            return False
        self._claims.pop(name, None)
        return await self.claim(name, owner, ttl)


class ClaimsOnce(MemoryStorage):
    """Claims a name beside a row for nobody who has it already."""

    async def claim_unchanged(self, name: str, owner: str, ttl: float, **row: str) -> bool:
        is_free = await self.claim_owner(name) is None
        return is_free and await super().claim_unchanged(name, owner, ttl, **row)


class FreesAnyName(MemoryStorage):
    """Replaces a record, and frees the name with it, whoever has it."""

    async def replace_and_release(
        self, record: Record, *, expected: str, name: str, owner: str
    ) -> bool:
        self._claims.pop(name, None)
        return await super().replace_and_release(record, expected=expected, name=name, owner=owner)


class FreesWithoutWriting(MemoryStorage):
    """Frees a name with the replacement of a record, whether or not it was written."""

    async def replace_and_release(
        self, record: Record, *, expected: str, name: str, owner: str
    ) -> bool:
        await self.release(name, owner)
        return await self.replace(record, expected=expected)


class ReplacesAnyVersion(MemoryStorage):
    """Replaces a record with the release of a name, without comparing its version."""

    async def replace_and_release(
        self, record: Record, *, expected: str, name: str, owner: str
    ) -> bool:
        del expected
        await self.release(name, owner)
        stored = await self.get(record.app_id, record.instance_id)
        return stored is not None and await self.replace(record, expected=stored.version)


class RestoresOver(MemoryStorage):
    """Writes a copied record over any other, and where there is none."""

    async def restore(self, record: Record, *, expected: str | None = None) -> bool:
        stored = await self.get(record.app_id, record.instance_id)
        del expected
        return await super().restore(record, expected=stored.version if stored else None)


class RestoresAtTheEpoch(MemoryStorage):
    """Takes a record without a date for one of 1970."""

    async def restore(self, record: Record, *, expected: str | None = None) -> bool:
        moment = record.installed_at or datetime.fromtimestamp(0, UTC)
        return await super().restore(replace(record, installed_at=moment), expected=expected)
