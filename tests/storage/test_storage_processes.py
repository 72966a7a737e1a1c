"""The contract, over several processes."""

from __future__ import annotations

import asyncio
import multiprocessing
from pathlib import Path

import pytest

from tests.storage.cases import make_storage
from tests.storage.records import APP, SITE, record
from tests.storage.workers import ROUNDS, Work, claim, count, install, run

CONTEXT = multiprocessing.get_context("forkserver")
# What takes long to import is imported once.
CONTEXT.set_forkserver_preload(["pytest", "wix_asgi_backends.postgres", "wix_asgi_backends.sqlite"])


@pytest.fixture(name="url", params=["sqlite", "postgres", "jsonfile"])
def _url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"{request.param}:///{tmp_path}/store"


def in_processes(work: Work, url: str, number: int) -> list[object]:
    """Do `work` in so many processes at once; return what they told."""
    start = CONTEXT.Barrier(number)
    outcomes = CONTEXT.Queue()
    processes = [
        CONTEXT.Process(target=run, args=(work, url, place, start, outcomes), daemon=True)
        for place in range(number)
    ]
    for process in processes:
        process.start()
    try:
        return [outcomes.get(timeout=60) for _ in processes]
    finally:
        for process in processes:
            process.join(60)
            process.close()
        outcomes.close()
        outcomes.join_thread()


async def read(url: str) -> list[tuple[str, bytes]]:
    """Return all records' ids and refresh tokens."""
    async with make_storage(url) as storage:
        return [(r.instance_id, r.refresh_token) for r in await storage.scan(APP)]


def test_all_open_an_empty_store(url: str) -> None:
    """Eight processes that open one empty store at the same moment all succeed."""
    assert in_processes(install, url, 8) == ["installed"] * 8
    assert len(asyncio.run(read(url))) == 8


def test_one_gets_a_name(url: str) -> None:
    """Of four processes, one gets each name (R4)."""
    won = in_processes(claim, url, 4)

    assert sorted(name for names in won for name in names) == sorted(  # type: ignore[attr-defined] # lists
        f"name-{number}" for number in range(ROUNDS)
    )


def test_no_update_is_lost(url: str) -> None:
    """Four processes that read, change and write one record lose none of their changes."""

    async def begin() -> None:
        async with make_storage(url) as storage:
            await storage.put(record(refresh_token=b"0"))

    asyncio.run(begin())

    assert in_processes(count, url, 4) == ["counted"] * 4
    assert asyncio.run(read(url)) == [(SITE, b"%d" % (4 * ROUNDS))]
