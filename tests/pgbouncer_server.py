"""A real PgBouncer before the Postgres of the tests: a fixture in transaction mode, as a plugin."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests import daemons
from tests.limits import PATIENCE

__all__ = ["PgBouncer"]

_SETTINGS: Final = """
[databases]
* = {server}

[pgbouncer]
pool_mode = {mode}
unix_socket_dir = {room}
listen_port = 5432
auth_type = any
default_pool_size = 20
max_client_conn = 500
"""


class PgBouncer:
    """A PgBouncer of its own, whose server connections change hands after every transaction.

    In the mode "session" they do when a client leaves.
    """

    def __init__(self, server: str, *, mode: str = "transaction") -> None:
        """Prepare for the server at this URL."""
        self._room = daemons.make_room("pgb")
        self._settings = self._room / "pgbouncer.ini"
        settings = _SETTINGS.format(server=_login(server), room=self._room, mode=mode)
        self._settings.write_text(settings)
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, behind: str) -> str:
        """Return the URL at which the database at the URL `behind` is reached through it."""
        return f"{behind.partition('?')[0]}?host={self._room}"

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program is not None, "install Debian's pgbouncer, or leave out `-m pgbouncer`"
        self._process = daemons.start([program, self._settings], self._room)
        daemons.wait_until_answering(self._process, self.url(self._server), self._room)

    def kill(self) -> None:
        """Stop it as a crash does, if it runs."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(PATIENCE)

    def remove(self) -> None:
        """Stop it and remove its files."""
        self.kill()
        shutil.rmtree(self._room)


def _login(url: str) -> str:
    """Return the host and the user of a URL, as PgBouncer's settings have them."""
    parts = urlsplit(url)
    given = {"host": parts.hostname, "port": parts.port, "user": parts.username}
    given |= {"password": parts.password, **dict(parse_qsl(parts.query))}
    return " ".join(f"{name}={value}" for name, value in given.items() if value)


@pytest.fixture(name="pgbouncer", scope="session")
def _pgbouncer(postgres_server: str) -> Iterator[PgBouncer]:
    """Give a PgBouncer for all tests of this process."""
    with daemons.running(PgBouncer(postgres_server)) as pgbouncer:
        yield pgbouncer


@pytest.fixture(name="pgbouncer_url")
def _pgbouncer_url(pgbouncer: PgBouncer, postgres_url: str) -> str:
    """Give the URL of an empty database behind PgBouncer, for one test."""
    return pgbouncer.url(postgres_url)
