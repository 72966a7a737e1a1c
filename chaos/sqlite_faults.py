"""An SQLite file: eight processes that write at once, and all that may befall it."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import tests.backends.support  # noqa: F401 # what takes long to import is imported once
from chaos.figures import Figure, exactly
from chaos.sqlite_full import filled
from chaos.sqlite_killed import killed
from chaos.sqlite_locked import locked_for_a_while, locked_out
from chaos.stores import Stores
from wix_asgi.storage import Storage
from wix_asgi.testing.storage.processes import in_processes
from wix_asgi.testing.storage_check.records import APP, put_all, read, record
from wix_asgi.testing.storage_check.versions import count
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.sqlite import SQLiteStorage

__all__ = ["counted", "measure", "opened", "written"]

_USUAL: Final = Retry()


def opened(room: Path, *, processes: int, rounds: int, retry: Retry = _USUAL) -> Iterator[Figure]:
    """Have processes open an empty file at the same moment, and each write to it."""
    failed: list[object] = []
    rows = 0
    for number in range(rounds):
        path = room / f"opened-{number}.db"
        told = _together(_put_one, path, processes, retry)
        failed += [outcome for outcome in told if outcome != "done"]
        rows += len(asyncio.run(_names(path)))
    what = f"{processes} processes open an empty file"
    yield exactly(f"{what}: failures in {rounds} rounds", "sqlite", len(failed), 0)
    yield exactly(f"{what}: records", "sqlite", rows, processes * rounds)


def counted(path: Path, *, processes: int, times: int, retry: Retry = _USUAL) -> Iterator[Figure]:
    """Have processes count in one record, each of them `times` times."""
    asyncio.run(_begin_to_count(path))
    told = _together(partial(_count, times=times), path, processes, retry)
    what = f"{processes} processes count in one record"
    yield exactly(f"{what}: failures", "sqlite", _failures(told), 0)
    yield exactly(f"{what}: counted", "sqlite", asyncio.run(_result(path)), processes * times)


def written(path: Path, *, processes: int, times: int, retry: Retry = _USUAL) -> Iterator[Figure]:
    """Have processes put `times` records of their own each."""
    told = _together(partial(_put_many, times=times), path, processes, retry)
    wanted = {_name(*ids) for ids in itertools.product(range(processes), range(times))}
    lost = wanted ^ asyncio.run(_names(path))
    what = f"{processes} processes put {times} records each"
    yield exactly(f"{what}: failures", "sqlite", _failures(told), 0)
    yield exactly(f"{what}: lost", "sqlite", len(lost), 0)


def measure(_stores: Stores) -> Iterator[Figure]:
    """Do all of this to files, at full size."""
    with tempfile.TemporaryDirectory(prefix="wix-asgi-") as name:
        room = Path(name)
        yield from opened(room, processes=8, rounds=20)
        yield from counted(room / "counted.db", processes=8, times=250)
        yield from written(room / "written.db", processes=8, times=250)
        yield from asyncio.run(locked_for_a_while(room / "locked.db", seconds=3, callers=50))
        yield from asyncio.run(locked_out(room / "locked-out.db", seconds=12, callers=50))
        yield from killed(room, rounds=10)
        (room / "small").mkdir()
        yield from filled(room / "small", size="16m")


def _together(
    work: Callable[[Storage, int], Awaitable[object]], path: Path, processes: int, retry: Retry
) -> list[object]:
    make = partial(SQLiteStorage, path, retry=retry)
    return in_processes(work, make, "asyncio", processes)


def _failures(told: list[object]) -> int:
    return sum(outcome != "done" for outcome in told)


def _name(process: int, number: int) -> str:
    return f"process-{process}-{number}"


async def _put_one(storage: Storage, process: int) -> str:
    return await _put_many(storage, process, times=1)


async def _put_many(storage: Storage, process: int, *, times: int) -> str:
    await put_all(storage, *[_name(process, number) for number in range(times)])
    return "done"


async def _count(storage: Storage, process: int, *, times: int) -> str:
    await count(storage, f"process-{process}", times)
    return "done"


async def _begin_to_count(path: Path) -> None:
    async with SQLiteStorage(path) as storage:
        await storage.put(record(refresh_token=b"0"))


async def _result(path: Path) -> int:
    async with SQLiteStorage(path) as storage:
        return int((await read(storage)).refresh_token)


async def _names(path: Path) -> set[str]:
    async with SQLiteStorage(path) as storage:
        return {stored.instance_id for stored in await storage.scan(APP, limit=10_000)}
