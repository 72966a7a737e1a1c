"""An SQLite file that another process has locked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from chaos.figures import Figure, at_most, exactly
from tests.backends.support import refusal, try_for
from wix_asgi.testing.storage_check.records import APP, put_all, record
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.sqlite import SQLiteStorage

__all__ = ["locked_for_a_while", "locked_out"]

_USUAL: Final = Retry().total
_LOCK: Final = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


async def locked_for_a_while(
    path: Path, *, seconds: float, callers: int, retry: Retry | None = None
) -> list[Figure]:
    """Have another process lock the file for `seconds`, in which many callers write."""
    what = f"locked for {seconds:g} s"
    async with SQLiteStorage(path, retry=retry) as storage:
        async with _locked(path):
            putting = [asyncio.ensure_future(_put(storage, n)) for n in range(callers)]
            await asyncio.sleep(seconds)
            early = sum(put.done() and put.result() is None for put in putting)
        refused = [said for said in await asyncio.gather(*putting) if said]
        kept = await _kept(storage)
    return [
        exactly(f"{what}: puts that did not wait", "sqlite", early, 0),
        exactly(f"{what}: puts refused", "sqlite", len(refused), 0),
        exactly(f"{what}: records", "sqlite", len(kept), callers),
    ]


async def locked_out(
    path: Path,
    *,
    seconds: float,
    callers: int,
    total: float = _USUAL,
    patience: float = _USUAL,
    busy: float = 5.0,
) -> list[Figure]:
    """Have another process keep the lock until all callers have given up, and for `seconds`.

    They give up after `total` seconds, and try for `patience` seconds where nothing is locked.
    """
    what, began = f"locked for {seconds:g} s", time.monotonic()
    async with SQLiteStorage(path, retry=Retry(total=patience), busy_seconds=busy) as storage:
        await put_all(storage, "before")
        async with _locked(path):
            try_for(storage, total)
            before = _checksums(path)
            told = await asyncio.gather(*(_put(storage, n) for n in range(callers)))
            longest = time.monotonic() - began
            await asyncio.sleep(began + seconds - time.monotonic())
            changed = before != _checksums(path)
        try_for(storage, patience)
        kept = await _kept(storage)
        after = await _put(storage, callers)
        rows = await _kept(storage)
    clear = sum("kept its lock" in (said or "") for said in told)
    return [
        exactly(f"{what}: callers told so", "sqlite", clear, callers),
        exactly(f"{what}: files changed", "sqlite", changed, 0),
        exactly(f"{what}: records beside the first", "sqlite", len(set(kept) - {"before"}), 0),
        exactly(f"{what}: puts refused right after", "sqlite", after is not None, 0),
        exactly(f"{what}: records then", "sqlite", len(rows), 2),
        at_most(f"{what}: the last was told after, s", "sqlite", longest, 12, timed=True),
    ]


@asynccontextmanager
async def _locked(path: Path) -> AsyncIterator[None]:
    """Have another process hold the write lock while a block runs."""
    command = [sys.executable, "-c", _LOCK, str(path)]
    locker = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        assert locker.stdout
        assert b"locked\n" == await locker.stdout.readline()
        yield
        await locker.communicate(b"")
        assert 0 == locker.returncode
    finally:
        if locker.returncode is None:
            locker.kill()
            await locker.wait()


async def _put(storage: SQLiteStorage, number: int) -> str | None:
    """Return the message of the refusal, or None for a put that succeeded."""
    return await refusal(storage.put(record(f"site-{number}")))


async def _kept(storage: SQLiteStorage) -> list[str]:
    return [stored.instance_id for stored in await storage.scan(APP, limit=1000)]


def _checksums(path: Path) -> bytes:
    # By another process: closing the file would drop the locks of this one.
    return subprocess.run(["cksum", path, f"{path}-wal"], stdout=PIPE, check=True).stdout
