"""A storage in memory that can be down."""

from __future__ import annotations

import anyio
from anyio.lowlevel import checkpoint

from tests.limits import PATIENCE
from tests.support import StepByStep
from wix_asgi.errors import StorageUnavailable
from wix_asgi.models import Record
from wix_asgi.testing.fake_wix._signal import Signal

__all__ = ["FlakyStorage"]


class FlakyStorage(StepByStep):
    """A storage in memory with a pause before each step, and with steps that a test takes down."""

    def __init__(self) -> None:
        super().__init__()
        self.down: set[str] = set()
        self.steps: list[str] = []
        self._signal = Signal()

    async def reached(self, step: str, times: int) -> None:
        """Wait until a step was reached this number of times."""
        with anyio.fail_after(PATIENCE):
            await self._signal.wait_until(lambda: self.steps.count(step) >= times)

    async def open(self) -> None:
        await self._reach("open")

    async def get(self, app_id: str, instance_id: str) -> Record | None:
        await self._reach("get")
        return await super().get(app_id, instance_id)

    async def put(self, record: Record) -> None:
        await self._reach("put")
        await super().put(record)

    async def add(self, record: Record) -> bool:
        # An installation of a callback is written by either.
        await self._reach("put")
        return await super().add(record)

    async def replace(self, record: Record, *, expected: str) -> bool:
        await self._reach("replace")
        return await super().replace(record, expected=expected)

    async def claim(self, name: str, owner: str, ttl: float) -> bool:
        await self._reach("claim")
        await self._reach(name.partition(":")[0])
        return await super().claim(name, owner, ttl)

    async def claim_owner(self, name: str) -> str | None:
        await self._reach("claim_owner")
        return await super().claim_owner(name)

    async def release(self, name: str, owner: str) -> None:
        await self._reach("release")
        await super().release(name, owner)

    async def purge(self) -> int:
        await self._reach("purge")
        return await super().purge()

    async def sites(self, app_id: str) -> list[str]:
        """Return the sites that are stored, even while steps are down."""
        return [record.instance_id for record in await super().scan(app_id)]

    async def _reach(self, step: str) -> None:
        self.steps.append(step)
        self._signal.notify()
        await checkpoint()
        if step in self.down:
            raise StorageUnavailable("The test storage is down.")
