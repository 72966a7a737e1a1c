"""Empty stores of every kind, for runs outside of pytest."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.daemons import running
from tests.pgbouncer_server import PgBouncer
from tests.postgres_server import PostgresServer, database

__all__ = ["KINDS", "Stores", "open_stores"]

KINDS: Final = ("sqlite", "postgresql", "pgbouncer")


@dataclass(frozen=True, slots=True)
class Stores:
    """A Postgres, and a PgBouncer before it."""

    server: PostgresServer
    pgbouncer: PgBouncer

    @contextlib.contextmanager
    def empty(self, kind: str) -> Iterator[str]:
        """Give the URL of an empty store of this kind, from `KINDS`, while a block runs."""
        if kind == "sqlite":
            with tempfile.TemporaryDirectory(prefix="wix-asgi-") as room:
                yield f"sqlite:///{room}/wix-asgi.db"
            return
        with database(self.server.url) as url:
            yield self.pgbouncer.url(url) if kind == "pgbouncer" else url


@contextlib.contextmanager
def open_stores() -> Iterator[Stores]:
    """Have servers of our own while a block runs."""
    with running(PostgresServer()) as server, running(PgBouncer(server.url)) as pgbouncer:
        yield Stores(server, pgbouncer)
