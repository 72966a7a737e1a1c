"""Servers in processes of their own, for tests that talk to them over HTTP."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.limits import PATIENCE
from wix_asgi.testing import FakeWix

__all__ = ["ROOT", "Server", "environment", "free_port", "serving", "uvicorn"]

ROOT = Path(__file__).parent.parent


class Server:
    """A process that serves something; everything it prints is collected."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        self._changed = threading.Condition()
        self._output = ""
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        """All that the process has printed until now, errors included."""
        with self._changed:
            return self._output

    def printed(self, pattern: str, times: int = 1) -> re.Match[str]:
        """Return the first match of `pattern` once it was printed `times` times, or fail."""

        def done() -> bool:
            return len(re.findall(pattern, self._output)) >= times or not self._reader.is_alive()

        with self._changed:
            self._changed.wait_for(done, PATIENCE)
        match = re.search(pattern, self.output)
        assert match is not None, self.output
        assert len(re.findall(pattern, self.output)) >= times, self.output
        return match

    def accepts(self, port: int) -> None:
        """Return once the process takes connections on `port`, or fail."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).close()
                return
            with self._changed:
                self._changed.wait(0.05)
        raise AssertionError(f"nobody listens on {port}: {self.output}")

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit status; by then all output is collected."""
        if self.process.poll() is None:
            self.process.send_signal(signum)
        return self.exited()

    def exited(self) -> int:
        """Return the exit status once the process has ended by itself, or fail."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def close(self) -> None:
        """Kill the process and its workers, unless they have ended before."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.exited()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self._output += line
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()


@contextlib.contextmanager
def serving(command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Iterator[Server]:
    """Run a server for as long as the block lasts, whatever happens in it."""
    server = Server(command, cwd=cwd, env=env)
    try:
        yield server
    finally:
        server.close()


def uvicorn(app: str, port: int, *options: str) -> list[str]:
    """Return the command that serves `app` of this checkout on `port`."""
    command = [sys.executable, "-m", "uvicorn", app, "--app-dir", str(ROOT), "--port", str(port)]
    return [*command, *options]


def environment(fake: FakeWix, port: int, storage: str) -> dict[str, str]:
    """Return the environment of an app at `port` that speaks to `fake`, which is being served."""
    settings = {
        "WIX_APP_ID": fake.app_id,
        "WIX_APP_SECRET": fake.app_secret,
        "WIX_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "WIX_URL": fake.url,
        "WIX_API_URL": fake.url,
        "WIX_STORAGE": storage,
    }
    return {**os.environ, "PYTHONUNBUFFERED": "1", **settings}


def free_port() -> int:
    """Return an unused port, outside of the range from which outgoing connections get theirs."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311 - no secret
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
