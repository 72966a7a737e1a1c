"""`wix.only_one` over event loops, with each storage that comes along."""

from __future__ import annotations

import threading
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.limits import PATIENCE
from tests.support import make_wix
from wix_asgi.storage import Storage
from wix_asgi.testing import FakeWix
from wix_asgi_backends.memory import MemoryStorage


@pytest.fixture
def anyio_backend() -> str:
    """Run on one event loop: the storages with a database are for asyncio."""
    return "asyncio"


@pytest.fixture(name="storage", params=["memory", "sqlite", "postgresql"])
def _storage(request: pytest.FixtureRequest, tmp_path: Path) -> str | Storage:
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return MemoryStorage() if request.param == "memory" else f"sqlite:///{tmp_path}/wix-asgi.db"


def test_event_loops_take_turns(storage: str | Storage) -> None:
    """Of three threads with a loop and an app each, one at a time is in the block."""
    steps: list[str] = []

    async def work() -> None:
        async with make_wix(FakeWix(), storage=storage) as wix, wix.only_one("job"):
            steps.append("in")
            for _ in range(50):
                await checkpoint()
            steps.append("out")

    threads = [threading.Thread(target=anyio.run, args=[work]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)

    assert ["in", "out"] * 3 == steps


async def test_a_worker_that_closes_lets_the_next_one_begin(storage: str | Storage) -> None:
    """A job that is cancelled with its app gives the lease back, though nobody waits for it."""
    begun = anyio.Event()

    async def work() -> None:
        async with wix.only_one("job"):
            begun.set()
            await anyio.sleep_forever()

    async with make_wix(FakeWix(), storage=storage) as other:
        with anyio.move_on_after(PATIENCE):
            async with (
                anyio.create_task_group() as tasks,
                make_wix(FakeWix(), storage=storage) as wix,
            ):
                tasks.start_soon(work)
                await begun.wait()
                tasks.cancel_scope.cancel()
        name = f"only_one:{other.settings.app_id} job"

        assert await other.storage.claim(name, "next", 1.0)
