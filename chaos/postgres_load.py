"""Tasks that use a storage without a pause, and know the answers that it has to give."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Final, TypeVar

from tests.limits import PATIENCE
from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import Record
from wix_asgi.storage import Storage
from wix_asgi.testing.storage_check.records import APP, record

__all__ = ["Load"]

T = TypeVar("T")

_TTL: Final = 600.0
_AFTER_FAILURE: Final = 0.1


class Load:
    """Tasks that use one storage, each with a site of its own.

    Attributes:
        failed: How many operations raised StorageUnavailable.
        unsure: How many removals took place and said that there was nothing to remove.
        wrong: The answers and rows that are not as they have to be.
        longest: The seconds of the operation that took the most.
    """

    def __init__(self, storage: Storage, tasks: int) -> None:
        self.storage: Final = storage
        self.failed = 0
        self.unsure = 0
        self.wrong: list[str] = []
        self.longest = 0.0
        self.is_over = False
        self._workers = [_Worker(self, number) for number in range(tasks)]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while a block runs, then compare the stored rows with the expected ones."""
        async with asyncio.TaskGroup() as tasks:
            for worker in self._workers:
                tasks.create_task(worker.work())
            try:
                yield
            finally:
                self.is_over = True
        stored = await self.storage.scan(APP, limit=len(self._workers) + 1)
        must_be = {worker.site: worker.version for worker in self._workers if worker.version}
        self.see("rows", must_be, {row.instance_id: row.version for row in stored})

    async def goes_on(self) -> float:
        """Return after how many seconds every task has carried something out."""
        began = time.monotonic()
        for worker in self._workers:
            worker.went_on.clear()
        async with asyncio.timeout(PATIENCE):
            for worker in self._workers:
                await worker.went_on.wait()
        return time.monotonic() - began

    async def time(self, work: Awaitable[T]) -> T:
        """Carry out an operation, and count it."""
        began = time.monotonic()
        try:
            return await work
        except StorageUnavailable:
            self.failed += 1
            raise
        finally:
            self.longest = max(self.longest, time.monotonic() - began)

    def see(self, what: str, expected: object, actual: object) -> None:
        """Note an answer that is not the expected one."""
        if expected != actual:
            self.wrong.append(f"{what}: {actual}, not {expected}")


class _Worker:
    """One task, the only one to touch its site.

    Attributes:
        version: The stored version of the site; None where it is removed.
    """

    def __init__(self, load: Load, number: int) -> None:
        self._load = load
        self._storage = load.storage
        self._removes = number % 2 == 0
        self.site: Final = f"site-{number}"
        self.version: str | None = None
        self.went_on = asyncio.Event()

    async def work(self) -> None:
        """Go round until the load is over."""
        while not self._load.is_over:
            try:
                await self._round()
            except StorageUnavailable:
                # It may have happened or not: the next round begins with a put.
                await asyncio.sleep(_AFTER_FAILURE)

    async def _round(self) -> None:
        await self._install()
        await self._refresh()
        await self._take_turns(f"{self.site}-{secrets.token_hex(8)}")
        if self._removes:
            await self._remove()

    async def _do(self, what: str, expected: T, work: Awaitable[T]) -> None:
        answer = await self._load.time(work)
        self._load.see(f"{what} of {self.site}", expected, answer)
        self.went_on.set()

    async def _install(self) -> None:
        written = self._new_record()
        await self._do("put", None, self._storage.put(written))
        await self._stored(written.version)

    async def _refresh(self) -> None:
        before, written = self.version or "", self._new_record()
        await self._do("replace", True, self._storage.replace(written, expected=before))
        await self._stored(written.version)
        late = self._new_record()
        await self._do("late replace", False, self._storage.replace(late, expected=before))
        await self._stored(written.version)

    async def _take_turns(self, name: str) -> None:
        ours, theirs = secrets.token_hex(8), secrets.token_hex(8)
        await self._do("claim", True, self._storage.claim(name, ours, _TTL))
        await self._do("claim of another", False, self._storage.claim(name, theirs, _TTL))
        await self._do("release", None, self._storage.release(name, ours))
        await self._do("claim after release", True, self._storage.claim(name, theirs, _TTL))
        await self._do("last release", None, self._storage.release(name, theirs))

    async def _remove(self) -> None:
        self._load.unsure += not await self._load.time(self._storage.delete(APP, self.site))
        await self._stored(None)

    async def _stored(self, version: str | None) -> None:
        self.version = version
        row = await self._load.time(self._storage.get(APP, self.site))
        self._load.see(f"version of {self.site}", version, row and row.version)
        self.went_on.set()

    def _new_record(self) -> Record:
        return record(self.site, secrets.token_hex(8))
