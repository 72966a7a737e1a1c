"""An SQLite file in containers that are killed: a mount of the file alone, and of its directory.

A container is a mount namespace, with a file system of its own in the place of its own layer.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final, Literal

import pytest

from tests.limits import PATIENCE

Mount = Literal["file", "directory", "nothing"]

_MOUNTS: Final[dict[Mount, str]] = {
    "file": "touch {inside}/app.db && mount --bind {host}/app.db {inside}/app.db",
    "directory": "mount --bind {host} {inside}",
    "nothing": "true",
}

_APP: Final = """
import asyncio, os, signal, sys
from pathlib import Path
from wix_asgi.errors import WixError
from wix_asgi.testing.storage_check.records import APP, record
from wix_asgi_backends._mounts import MOUNTS
from wix_asgi_backends.sqlite import SQLiteStorage

async def main(work, path, looks):
    mounts = MOUNTS if looks == "looks" else Path("/nowhere")
    async with SQLiteStorage(path, mounts=mounts) as storage:
        if work == "install":
            for number in range(5):
                await storage.put(record(f"site-{number}"))
            os.kill(os.getpid(), signal.SIGKILL)
        print(len(await storage.scan(APP)))

try:
    asyncio.run(main(*sys.argv[1:]))
except WixError as error:
    print(error)
"""


class Host:
    """A machine with a directory, and containers that mount it or the file in it."""

    def __init__(self, room: Path) -> None:
        self._host, self._inside = room / "host", room / "inside"
        self._host.mkdir()
        self._inside.mkdir()
        (self._host / "app.db").touch(0o600)

    def run(self, work: Literal["install", "count"], mount: Mount, *, looks: bool = True) -> str:
        """Run an app in a new container, and return its output; `looks` lets it see its mounts."""
        places = {"host": self._host, "inside": self._inside}
        prepare = f"mount -t tmpfs none {self._inside} && {_MOUNTS[mount].format(**places)}"
        app = [sys.executable, "-c", _APP, work, f"{self._inside}/app.db"]
        # Others than root make mounts as the root of a user namespace.
        isolate = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        command = [*isolate, "sh", "-c", f'{prepare} && exec "$@"', "sh", *app]
        done = subprocess.run(
            [*command, "looks" if looks else "blind"],
            stdout=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
            text=True,
        )
        assert done.returncode == (0 if done.stdout else -signal.SIGKILL)
        return done.stdout.strip()


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_mounted_file_loses_installations(host: Host) -> None:
    """Where a mount of the file alone is not seen, a killed container takes its installs along."""
    host.run("install", "file", looks=False)

    assert "0" == host.run("count", "file", looks=False)


def test_mounted_file_is_refused(host: Host) -> None:
    """A file that is mounted alone is refused, with the directory to mount instead."""
    said = host.run("install", "file")

    assert "mount the directory" in said
    assert "mount the directory" in host.run("count", "file")


def test_mounted_directory_keeps_installations(host: Host) -> None:
    """With the directory mounted, the next container has all installs of a killed one."""
    host.run("install", "directory")

    assert "5" == host.run("count", "directory")


def test_file_of_the_container(host: Host) -> None:
    """A file that is in the container's own layer is used, and is gone with it."""
    host.run("install", "nothing")

    assert "0" == host.run("count", "nothing")
