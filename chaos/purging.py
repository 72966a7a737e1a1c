"""Claims that ran out by the million, which are purged while others claim."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Final

import anyio

from chaos.figures import Figure, at_most, exactly, noted
from chaos.stores import Stores
from tests.daemons import connected
from wix_asgi.errors import StorageUnavailable
from wix_asgi.storage import Storage, open_storage

__all__ = ["KINDS", "measure", "purged"]

KINDS: Final = ("sqlite", "postgresql")

_LONGEST: Final = 0.5
"""Seconds that a claim beside a purge may take (R56)."""

_INTERVAL: Final = 0.02
"""Seconds from the end of a claim to the next claim of the same task."""

_TTL: Final = 86_400.0  # seconds; longer than a run on a busy machine
_OWNER: Final = "before"

# Random names of the length that used states have; they expired in the order of their making.
_FILL_SQLITE: Final = """
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :expired)
INSERT INTO wix_claims (name, owner, expires_at)
SELECT CAST('state:' || hex(randomblob(32)) AS BLOB), hex(randomblob(16)), n / 10 FROM numbers
"""
_FILL_POSTGRES: Final = """
INSERT INTO wix_claims (name, owner, expires_at)
SELECT convert_to('state:' || sha256(random()::text::bytea)::text, 'UTF8'),
       md5(random()::text), n / 10 FROM generate_series(1, $1) AS n
"""
_EXPIRED: Final = "SELECT count(*) FROM wix_claims WHERE expires_at <= 1000000000"

_PURGE: Final = """
import asyncio, sys
from wix_asgi.storage import open_storage

async def main():
    async with open_storage(sys.argv[1]) as storage:
        while removed := await storage.purge():
            print(removed, flush=True)

asyncio.run(main())
"""


async def purged(
    url: str, store: str, *, expired: int, living: int, processes: int, tasks: int = 2
) -> list[Figure]:
    """Have processes purge until nothing is left, while tasks claim one name after another."""
    async with open_storage(url) as storage:
        names = [f"living-{number}" for number in range(living)]
        for name in names:
            await storage.claim(name, _OWNER, _TTL)
        await _fill(url, expired)
        claims, began = _Claims(storage), time.monotonic()
        async with anyio.create_task_group() as group:
            for number in range(tasks):
                group.start_soon(claims.go_on, number)
            purgers = [await _purger(url) for _ in range(processes)]
            told = [await _told(purger) for purger in purgers]
            seconds = time.monotonic() - began
            claims.is_over = True
        kept = [not await storage.claim(name, "other", _TTL) for name in names]
        left = await _count(url)
    what = f"{processes} processes purge {expired:,} claims"
    return [
        exactly(f"{what}: processes that failed", store, sum(failed for _, failed in told), 0),
        exactly(f"{what}: removed", store, sum(removed for removed, _ in told), expired),
        exactly(f"{what}: expired and left", store, left, 0),
        exactly(f"{what}: living and kept", store, sum(kept), living),
        exactly(f"{what}: claims refused meanwhile", store, claims.refused, 0),
        Figure(f"{what}: claims meanwhile", store, claims.made, least=1),
        at_most(f"{what}: longest claim, s", store, claims.longest, _LONGEST, timed=True),
        noted(f"{what}: seconds", store, seconds),
    ]


def measure(stores: Stores) -> Iterator[Figure]:
    """Purge five million claims by one process and by two."""
    for kind in KINDS:
        for processes in 1, 2:
            with stores.empty(kind) as url:
                run = partial(purged, expired=5_000_000, living=1000, processes=processes)
                yield from anyio.run(run, url, kind)


@dataclass
class _Claims:
    """Claims of new names, one after another."""

    storage: Storage
    is_over: bool = False
    made: int = 0
    refused: int = 0
    longest: float = 0.0

    async def go_on(self, task: int) -> None:
        """Claim a name, and claim the next, until it is over."""
        while not self.is_over:
            began = time.monotonic()
            try:
                is_ours = await self.storage.claim(f"{task}:{self.made}", f"{task}", _TTL)
            except StorageUnavailable:
                is_ours = False
            self.longest = max(self.longest, time.monotonic() - began)
            self.made += 1
            self.refused += not is_ours
            await anyio.sleep(_INTERVAL)


async def _purger(url: str) -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", _PURGE, url, stdout=PIPE)


async def _told(purger: Process) -> tuple[int, bool]:
    """Return how many claims a process removed, and whether it failed, once it has ended."""
    told, _ = await purger.communicate()
    return sum(map(int, told.split())), purger.returncode != 0


async def _fill(url: str, expired: int) -> None:
    if url.startswith("sqlite:"):
        await anyio.to_thread.run_sync(_fill_file, url, expired)
        return
    async with connected(url) as connection:
        await connection.execute(_FILL_POSTGRES, expired)
        await connection.execute("ANALYZE wix_claims")


def _fill_file(url: str, expired: int) -> None:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        # A page of the index of names for nearly every row: from a small cache each is read anew.
        connection.execute("PRAGMA cache_size = -500000")
        with connection:
            connection.execute(_FILL_SQLITE, {"expired": expired})
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _count(url: str) -> int:
    if url.startswith("sqlite:"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            (left,) = connection.execute(_EXPIRED).fetchone()
    else:
        async with connected(url) as connection:
            left = await connection.fetchval(_EXPIRED)
    return int(left)
