"""A view of a storage that keeps the writes of a case under its own ids, and can undo them."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Final, Self

import anyio

from wix_asgi.models import Record
from wix_asgi.storage import (
    AddingStorage,
    ClaimReader,
    CombiningStorage,
    RestoringStorage,
    Storage,
)
from wix_asgi.testing.storage_check._event_sandbox import EventSandbox

__all__ = ["Sandbox"]

# Calls at once when a case is cleaned up: the connections that a Postgres storage has.
_CONCURRENT_REMOVALS: Final = 10


class Sandbox(EventSandbox):
    """A `Storage` that puts a random `prefix` before every app id and every name.

    It neither closes nor purges the underlying storage, since other users would notice.
    """

    def __init__(self, storage: Storage) -> None:
        """Show an open storage as though it were empty."""
        super().__init__(f"wix-asgi-check-{secrets.token_hex(8)}-")
        self._storage = storage
        self._keys: set[tuple[str, str]] = set()
        self._claims: set[tuple[str, str]] = set()

    async def open(self) -> None:
        """Open the open storage again, which changes nothing."""
        await self._storage.open()

    async def aclose(self) -> None:
        """Leave the storage open."""

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
        """Return the record as the case wrote it, or None."""
        stored = await (await self._inner()).get(self.prefix + app_id, instance_id)
        return stored and self._shown(stored)

    async def put(self, record: Record) -> None:
        """Write `record` under the app id of this sandbox."""
        await (await self._inner()).put(self._hidden(record))

    async def add(self, record: Record) -> bool:
        """Add `record` under the app id of this sandbox; the storage has to be able to."""
        inner = await self._inner()
        assert isinstance(inner, AddingStorage)
        return await inner.add(self._hidden(record))

    async def restore(self, record: Record, *, expected: str | None = None) -> bool:
        """Restore `record` under the app id of this sandbox; the storage has to be able to."""
        inner = await self._inner()
        assert isinstance(inner, RestoringStorage)
        return await inner.restore(self._hidden(record), expected=expected)

    async def put_and_get(self, record: Record) -> Record:
        """Write `record` under the app id of this sandbox, and return it as it is stored."""
        inner = await self._combining()
        return self._shown(await inner.put_and_get(self._hidden(record)))

    async def add_and_get(self, record: Record) -> Record | None:
        """Add `record` under the app id of this sandbox, and return it as it is stored."""
        inner = await self._combining()
        stored = await inner.add_and_get(self._hidden(record))
        return stored and self._shown(stored)

    async def claim_unchanged(
        self, name: str, owner: str, ttl: float, *, app_id: str, instance_id: str, version: str
    ) -> bool:
        """Claim a name of the sandbox, if the version is that of a record of the sandbox."""
        self._claims.add((self.prefix + name, owner))
        inner = await self._combining()
        return await inner.claim_unchanged(
            self.prefix + name,
            owner,
            ttl,
            app_id=self.prefix + app_id,
            instance_id=instance_id,
            version=version,
        )

    async def replace_and_release(
        self, record: Record, *, expected: str, name: str, owner: str
    ) -> bool:
        """Write `record` if the stored version is `expected`, and free a name of the sandbox."""
        inner = await self._combining()
        return await inner.replace_and_release(
            self._hidden(record), expected=expected, name=self.prefix + name, owner=owner
        )

    async def replace(self, record: Record, *, expected: str) -> bool:
        """Write `record` if the stored version is `expected`."""
        return await (await self._inner()).replace(self._hidden(record), expected=expected)

    async def delete(
        self, app_id: str, instance_id: str, *, installed_before: datetime | None = None
    ) -> bool:
        """Remove this installation of the sandbox."""
        return await (await self._inner()).delete(
            self.prefix + app_id, instance_id, installed_before=installed_before
        )

    async def scan(self, app_id: str, *, after: str = "", limit: int = 100) -> Sequence[Record]:
        """Return one page of this app's records in the sandbox."""
        page = await (await self._inner()).scan(self.prefix + app_id, after=after, limit=limit)
        return [self._shown(stored) for stored in page]

    async def claim(self, name: str, owner: str, ttl: float) -> bool:
        """Claim a name of the sandbox."""
        self._claims.add((self.prefix + name, owner))
        return await (await self._inner()).claim(self.prefix + name, owner, ttl)

    async def release(self, name: str, owner: str) -> None:
        """Free a name of the sandbox."""
        await (await self._inner()).release(self.prefix + name, owner)

    async def claim_owner(self, name: str) -> str | None:
        """Return the owner of a name of the sandbox; the storage has to be a `ClaimReader`."""
        inner = await self._inner()
        assert isinstance(inner, ClaimReader)
        return await inner.claim_owner(self.prefix + name)

    async def purge(self) -> int:
        """Remove nothing."""
        return 0

    async def remove_all(self) -> list[Exception]:
        """Remove all of the case, as far as possible, and return the errors."""
        apps = {app_id for app_id, _ in self._keys}
        errors = await _try(*[partial(self._storage.release, *held) for held in self._claims])
        errors += await _try(*[partial(self._storage.delete, *key) for key in self._keys])
        errors += await _try(*[partial(self._remove_rest, app_id) for app_id in apps])
        return errors + await _try(*[partial(self._remove_events, a) for a in self.event_apps])

    async def _remove_rest(self, app_id: str) -> None:
        """Remove records that the storage keeps under other ids than those of the case."""
        for stored in await self._storage.scan(app_id):
            # A broken store may show the records of other apps, which must stay.
            if stored.app_id.startswith(self.prefix):
                await self._storage.delete(app_id, stored.instance_id)
        if await self._storage.scan(app_id, limit=1):
            raise LookupError

    async def _inner(self) -> Storage:
        # A checkpoint lets a case end when its time is up, even if the storage never waits.
        await anyio.lowlevel.checkpoint()
        return self._storage

    async def _combining(self) -> CombiningStorage:
        """Return the storage, which has to be one."""
        inner = await self._inner()
        assert isinstance(inner, CombiningStorage)
        return inner

    def _hidden(self, record: Record) -> Record:
        self._keys.add((self.prefix + record.app_id, record.instance_id))
        return replace(record, app_id=self.prefix + record.app_id)

    def _shown(self, record: Record) -> Record:
        return replace(record, app_id=record.app_id.removeprefix(self.prefix))


async def _try(*calls: Callable[[], Awaitable[object]]) -> list[Exception]:
    """Make all calls, a few at once, and return their errors."""
    errors: list[Exception] = []
    limiter = anyio.CapacityLimiter(_CONCURRENT_REMOVALS)

    async def attempt(call: Callable[[], Awaitable[object]]) -> None:
        async with limiter:
            try:
                await call()
            except Exception as exc:
                errors.append(exc)

    async with anyio.create_task_group() as tasks:
        for call in calls:
            tasks.start_soon(attempt, call)
    return errors
