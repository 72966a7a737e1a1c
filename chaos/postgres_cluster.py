"""A Postgres that may be stopped, with a PgBouncer before it or without one."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import asyncpg

from tests.daemons import connected, execute, running
from tests.limits import PATIENCE
from tests.pgbouncer_server import PgBouncer
from tests.postgres_server import PostgresServer, database
from wix_asgi_backends._retry import Retry

__all__ = ["CONNECTIONS", "END_SESSIONS", "USUAL", "Cluster", "open_cluster"]

CONNECTIONS: Final = 60
"""How many connections the server takes."""

USUAL: Final = Retry().total
"""The seconds for which a storage tries each operation unless told otherwise."""

END_SESSIONS: Final = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"
_UNANSWERED: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'SyncRep'"
)
_SETTINGS: Final = {
    "max_connections": str(CONNECTIONS),
    # A standby that never comes, for which nobody waits until told to.
    "synchronous_commit": "local",
    "synchronous_standby_names": "nobody",
}


class _Bouncer(PgBouncer):
    """A PgBouncer that may be killed, and is started again when it crashes by itself.

    Some versions do so when a client that has cancelled something goes away: pgbouncer#801.
    """

    def __init__(self, server: str, login_retry: float) -> None:
        super().__init__(server)
        # By default it turns everybody away for 15 s once a connection to the server has failed,
        # so that to its clients each restart of the server takes that long.
        with self._settings.open("a") as settings:
            settings.write(f"server_login_retry = {login_retry}\n")

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        super().start()
        threading.Thread(target=self._watch, args=[self._process]).start()

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        if process is self._process:
            self.start()


@dataclass(frozen=True, slots=True)
class Cluster:
    """A server of its own, and a PgBouncer before it or none.

    Attributes:
        server: The server, which nobody else uses.
        url: A database of its own, as the server itself has it.
    """

    server: PostgresServer
    url: str
    _bouncer: _Bouncer | None

    @property
    def kind(self) -> str:
        """The server that clients speak to: "postgresql" or "pgbouncer"."""
        return "pgbouncer" if self._bouncer else "postgresql"

    @property
    def client_url(self) -> str:
        """The database as clients reach it."""
        return self._bouncer.url(self.url) if self._bouncer else self.url

    @property
    def database(self) -> str:
        """The name of the database."""
        return urlsplit(self.url).path.removeprefix("/")

    @contextlib.contextmanager
    def emptied(self) -> Iterator[None]:
        """Leave no tables in the database after a block, nor a session that locks a table."""
        yield
        asyncio.run(self.hang_up())
        asyncio.run(
            execute(self.url, "DROP TABLE IF EXISTS wix_installations, wix_claims, wix_events")
        )

    @contextlib.asynccontextmanager
    async def stopped(self, how: signal.Signals = signal.SIGINT) -> AsyncIterator[None]:
        """Have no server while a block runs; PgBouncer goes on."""
        await asyncio.to_thread(self.server.stop, how)
        try:
            yield
        finally:
            await asyncio.to_thread(self.server.start)

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Have all processes of the server stopped while a block runs."""
        self.server.signal_all(signal.SIGSTOP)
        try:
            yield
        finally:
            self.server.signal_all(signal.SIGCONT)

    @contextlib.asynccontextmanager
    async def without_bouncer(self) -> AsyncIterator[None]:
        """Have PgBouncer crash, and start it again after a block."""
        assert self._bouncer is not None
        await asyncio.to_thread(self._bouncer.kill)
        try:
            yield
        finally:
            await asyncio.to_thread(self._bouncer.start)

    @contextlib.asynccontextmanager
    async def read_only(self) -> AsyncIterator[None]:
        """Answer as a standby does, SQLSTATE 25006, while a block runs."""
        reload = "SELECT pg_reload_conf()"
        await self._tell("ALTER SYSTEM SET default_transaction_read_only = on", reload)
        try:
            yield
        finally:
            await self._tell("ALTER SYSTEM RESET default_transaction_read_only", reload)

    @contextlib.asynccontextmanager
    async def sessions_with(self, name: str, value: str) -> AsyncIterator[None]:
        """Have every session with the database begin anew, with a setting; later ones are without.

        Sessions that began during the block keep the setting.
        """
        await self._tell(f"ALTER DATABASE {self.database} SET {name} = {value}")
        try:
            await self.hang_up()
            yield
        finally:
            await self._tell(f"ALTER DATABASE {self.database} RESET {name}")

    async def answers_clients(self) -> None:
        """Return once clients are let in, which PgBouncer does a little later than the server."""
        async with asyncio.timeout(PATIENCE):
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError):
                    await execute(self.client_url, "SELECT 1")
                    return
                await asyncio.sleep(0.02)

    async def hang_up(self) -> int:
        """End all sessions with the database; return how many there were."""
        async with connected(self.server.url) as connection:
            return len(await connection.fetch(END_SESSIONS, self.database))

    async def claims_freed(self) -> None:
        """Return once nobody has any name, or after a while all the same."""
        async with connected(self.url) as connection:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    # Nobody tells of it.
                    while await connection.fetchval("SELECT count(*) FROM wix_claims"):  # noqa: ASYNC110
                        await asyncio.sleep(0.01)

    async def commits_unanswered(self, times: int) -> None:
        """Return once `times` commits are done without an answer to their clients.

        With `synchronous_commit` on they never will: end their sessions, or the server.
        """
        async with connected(self.server.url) as connection, asyncio.timeout(PATIENCE):
            while times > await connection.fetchval(_UNANSWERED, self.database):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def _tell(self, *statements: str) -> None:
        await execute(self.server.url, *statements)


@contextlib.contextmanager
def open_cluster(kind: str, *, login_retry: float = 1.0) -> Iterator[Cluster]:
    """Have a cluster of this kind while a block runs.

    PgBouncer asks for a server that was gone every `login_retry` seconds.
    """
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running(PostgresServer(**_SETTINGS)))
        bouncer = None
        if kind == "pgbouncer":
            bouncer = stack.enter_context(running(_Bouncer(server.url, login_retry)))
        yield Cluster(server, stack.enter_context(database(server.url)), bouncer)
