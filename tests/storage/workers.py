"""What the processes of `test_storage_processes` do; each of them imports this."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import anyio

from tests.storage.cases import make_storage
from tests.storage.records import APP, SITE, record
from wix_asgi.storage import Storage

ROUNDS = 25

Work = Callable[[Storage, int], Awaitable[object]]


def run(work: Work, url: str, number: int, start: Barrier, outcomes: Queue[object]) -> None:
    """Do `work` when all processes are ready, and tell its outcome or its error."""
    start.wait(60)

    async def main() -> object:
        async with make_storage(url) as storage:
            return await work(storage, number)

    try:
        outcomes.put(anyio.run(main))
    except BaseException as exc:
        outcomes.put(repr(exc))


async def install(storage: Storage, number: int) -> object:
    """Write a record of this process's own."""
    await storage.put(record(f"site-{number}"))
    return "installed"


async def claim(storage: Storage, number: int) -> object:
    """Return the names that this process got."""
    names = [f"name-{name}" for name in range(ROUNDS)]
    return [name for name in names if await storage.claim(name, f"process-{number}", 600)]


async def count(storage: Storage, number: int) -> object:
    """Add one to the number in the record, so many times."""
    for step in range(ROUNDS):
        while True:
            stored = await storage.get(APP, SITE)
            assert stored is not None
            counted = b"%d" % (int(stored.refresh_token) + 1)
            version = f"{number}-{step}-{counted.decode()}"
            if await storage.replace(
                record(version=version, refresh_token=counted), expected=stored.version
            ):
                break
    return "counted"
