"""Database servers of the tests' own, which refuse to run as root."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol, TypeVar

import asyncpg

from tests.limits import PATIENCE

__all__ = [
    "Daemon",
    "connected",
    "execute",
    "make_room",
    "running",
    "start",
    "wait_until_answering",
]

D = TypeVar("D", bound="Daemon")

_AS_ROOT: Final = os.geteuid() == 0
_USER: Final = "nobody" if _AS_ROOT else getpass.getuser()


def make_room(name: str) -> Path:
    """Return a new directory that belongs to the user as which the servers run."""
    room = Path(tempfile.mkdtemp(prefix=f"wix-{name}-"))
    shutil.chown(room, _USER)
    return room


def start(command: Sequence[str | Path], room: Path) -> subprocess.Popen[bytes]:
    """Start `command` in `room`, where its output goes into the file `log`."""
    with (room / "log").open("ab") as log:
        return subprocess.Popen(
            command,
            cwd=room,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            # So that Ctrl-C reaches the tests only.
            process_group=0,
            user=_USER if _AS_ROOT else None,
            group="nogroup" if _AS_ROOT else None,
            extra_groups=[] if _AS_ROOT else None,
        )


def wait_until_answering(process: subprocess.Popen[bytes], url: str, room: Path) -> None:
    """Return once the database at `url` answers, or fail with the output of the server."""
    deadline = time.monotonic() + PATIENCE
    while not _answers(url):
        # Nothing tells that the server listens; that it has ended, `wait` tells at once.
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
        assert process.poll() is None, (room / "log").read_text()
        assert time.monotonic() < deadline, (room / "log").read_text()


def _answers(url: str) -> bool:
    with suppress(OSError, asyncpg.PostgresError):
        asyncio.run(execute(url, "SELECT 1"))
        return True
    return False


class Daemon(Protocol):
    """A server that leaves nothing behind."""

    def start(self) -> None:
        """Start it, and wait until it answers."""

    def remove(self) -> None:
        """Stop it, if it runs, and remove its files."""


@contextmanager
def running(daemon: D) -> Iterator[D]:
    """Have a server run for as long as a block lasts."""
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.remove()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Speak to a database past every storage, for as long as a block lasts."""
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        yield connection
    finally:
        await connection.close()


async def execute(url: str, *statements: str) -> None:
    """Carry out `statements` on a connection of their own."""
    async with connected(url) as connection:
        for statement in statements:
            await connection.execute(statement)
