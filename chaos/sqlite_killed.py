"""Writers of an SQLite file that are killed: `python -m chaos.sqlite_killed FILE`."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from chaos.figures import Figure, exactly, noted
from tests.backends.support import refusal
from tests.servers import ROOT
from wix_asgi.testing.storage_check.records import APP, record
from wix_asgi_backends._retry import Retry
from wix_asgi_backends.sqlite import SQLiteStorage

__all__ = ["killed"]

_CALLERS: Final = 5


def killed(room: Path, *, rounds: int, wait: float = 2.0) -> Iterator[Figure]:
    """Kill a process in the middle of its puts, and have another write within `wait` seconds."""
    put, lost, refused = 0, 0, 0
    for number in range(rounds):
        with tempfile.TemporaryDirectory(dir=room) as store:
            path = Path(store) / "test.db"
            names = _kill_writer(path, after=5 + 7 * number)
            put += len(names)
            refused += asyncio.run(_is_refused(path, wait))
            lost += asyncio.run(_missing(path, names))
    yield noted("writer killed: puts that had returned", "sqlite", put)
    yield exactly("writer killed: records lost", "sqlite", lost, 0)
    yield exactly("writer killed: next writers that had to wait", "sqlite", refused, 0)


def _kill_writer(path: Path, *, after: int) -> list[str]:
    """Return the names that a process has printed as put; it is killed after `after` of them."""
    command = [sys.executable, "-m", "chaos.sqlite_killed", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout
            names = list(itertools.islice(writer.stdout, after))
            writer.kill()
            # The lines it printed before it died, but for an unfinished one.
            names += [line for line in writer.stdout if line.endswith("\n")]
        finally:
            writer.kill()
    assert len(names) >= after, "the writer ended by itself"
    return [name.rstrip("\n") for name in names]


async def _is_refused(path: Path, wait: float) -> bool:
    # Not even the lock of a dead process may cost a wait.
    async with SQLiteStorage(path, retry=Retry(total=wait)) as storage:
        return await refusal(storage.put(record("the next"))) is not None


async def _missing(path: Path, names: list[str]) -> int:
    async with SQLiteStorage(path) as storage:
        found = [await storage.get(APP, name) for name in names]
    pairs = zip(names, found, strict=True)
    return sum(stored is None or stored.version != f"v-{name}" for name, stored in pairs)


async def _write(path: Path) -> None:
    async with SQLiteStorage(path) as storage:

        async def put(caller: int) -> None:
            for number in itertools.count():
                name = f"{caller}-{number}"
                await storage.put(record(name, f"v-{name}"))
                sys.stdout.write(f"{name}\n")
                sys.stdout.flush()

        await asyncio.gather(*[put(caller) for caller in range(_CALLERS)])


if __name__ == "__main__":
    asyncio.run(_write(Path(sys.argv[1])))
