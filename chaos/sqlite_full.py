"""A disk that fills up beneath an SQLite file: `python -m chaos.sqlite_full DIRECTORY`.

The disk is a small one in memory, in a mount namespace that only one child process sees.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from chaos.figures import Figure, exactly, noted
from tests.backends.support import refusal
from tests.limits import PATIENCE
from tests.servers import ROOT
from wix_asgi.errors import StorageUnavailable
from wix_asgi.testing.storage_check.records import APP, record
from wix_asgi_backends._retry import causes
from wix_asgi_backends.sqlite import SQLiteStorage

__all__ = ["filled"]

_CALLERS: Final = 5
_BALLAST: Final = 1024 * 1024
_TOKEN: Final = b"test-canary-token-" * 100
_SAID: Final = "the disk is full (SQLITE_FULL)"
_MOUNT: Final = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'


@dataclass
class _Seen:
    """The outcome of filling a disk."""

    kept: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    leaks: int = 0
    lost_when_full: int = 0
    lost_in_another: int = 0
    refused_again: int = 0
    refused_with_space: int = 0
    lost: int = 0


def filled(room: Path, *, size: str) -> Iterator[Figure]:
    """Fill a disk of `size`, make space, and go on; `room` is where it is mounted."""
    seen = _on_small_disk(room, size)
    told = sum(_SAID in message for message in seen.said)
    yield noted("disk full: records put until then", "sqlite", len(seen.kept))
    yield exactly("disk full: callers told so", "sqlite", told, _CALLERS)
    yield exactly("disk full: tokens in errors", "sqlite", seen.leaks, 0)
    yield exactly("disk full: records that cannot be read", "sqlite", seen.lost_when_full, 0)
    yield exactly("disk full: read by another", "sqlite", seen.lost_in_another, 0)
    yield exactly("disk full: puts refused again", "sqlite", seen.refused_again, 1)
    yield exactly("space again: puts refused", "sqlite", seen.refused_with_space, 0)
    yield exactly("space again: records lost", "sqlite", seen.lost, 0)


def _on_small_disk(room: Path, size: str) -> _Seen:
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    ours = [sys.executable, "-m", "chaos.sqlite_full", str(room)]
    command = ["unshare", *user, "--mount", "sh", "-c", _MOUNT, "sh", size, str(room), *ours]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert 0 == done.returncode, done.stderr
    return _Seen(**json.loads(done.stdout))


async def _fill(room: Path) -> _Seen:
    seen, path, ballast = _Seen(), room / "test.db", room / "ballast"
    ballast.write_bytes(bytes(_BALLAST))
    async with SQLiteStorage(path) as storage:
        await asyncio.gather(*[_put_until_full(storage, name, seen) for name in range(_CALLERS)])
        seen.lost_when_full = await _missing(storage, seen.kept)
        async with SQLiteStorage(path) as another:
            seen.lost_in_another = await _missing(another, seen.kept)
        seen.refused_again = await _refused(storage, ["when full"])
        ballast.unlink()
        more = [f"with space {number}" for number in range(50)]
        seen.refused_with_space = await _refused(storage, more)
    async with SQLiteStorage(path) as storage:
        seen.lost = await _missing(storage, seen.kept + more)
    return seen


async def _put_until_full(storage: SQLiteStorage, caller: int, seen: _Seen) -> None:
    number = 0
    try:
        while True:
            await storage.put(record(f"{caller}-{number}", refresh_token=_TOKEN))
            seen.kept.append(f"{caller}-{number}")
            number += 1
    except StorageUnavailable as exc:
        seen.said.append(str(exc))
        seen.leaks += sum("canary" in f"{cause} {cause!r}" for cause in causes(exc))


async def _refused(storage: SQLiteStorage, names: list[str]) -> int:
    puts = [storage.put(record(name, refresh_token=_TOKEN)) for name in names]
    return sum([await refusal(put) is not None for put in puts])


async def _missing(storage: SQLiteStorage, names: list[str]) -> int:
    found = [await storage.get(APP, name) for name in names]
    return sum(stored is None or stored.refresh_token != _TOKEN for stored in found)


if __name__ == "__main__":
    json.dump(asdict(asyncio.run(_fill(Path(sys.argv[1])))), sys.stdout)
