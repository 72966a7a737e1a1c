"""One Wix for several event loops, each in a thread of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import anyio
import pytest

from tests.limits import PATIENCE
from tests.support import make_wix
from wix_asgi.testing import FakeWix
from wix_asgi_backends.memory import MemoryStorage

LOOPS = 4


class MeetingStorage(MemoryStorage):
    """A storage that is open when every loop has come to open it."""

    def __init__(self) -> None:
        super().__init__()
        self.barrier = Barrier(LOOPS)

    async def open(self) -> None:
        await anyio.to_thread.run_sync(self.barrier.wait, 20)


@pytest.mark.parametrize("loop", ["asyncio", "trio"])
def test_loops_open_it_at_once(loop: str) -> None:
    """No loop waits for another one's lock, which would never wake it."""
    wix = make_wix(FakeWix(), storage=MeetingStorage())

    async def use() -> bool:
        with anyio.fail_after(PATIENCE):
            await wix.open()
            return wix.is_open

    with ThreadPoolExecutor(LOOPS) as pool:
        opened = list(pool.map(lambda _: anyio.run(use, backend=loop), range(LOOPS)))

    assert [True] * LOOPS == opened
