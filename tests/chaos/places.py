"""Empty stores of every kind, for runs outside of pytest."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

from tests.pgbouncer_server import PgBouncer
from tests.postgres_server import PostgresServer, database

__all__ = ["KINDS", "Places"]

KINDS: Final = ("sqlite", "postgresql", "pgbouncer")


class Places:
    """A Postgres of its own, and a PgBouncer before it, for as long as a block lasts."""

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self.server = PostgresServer()

    def __enter__(self) -> Self:
        self._stack.callback(self.server.remove)
        with contextlib.ExitStack() as failing:
            failing.callback(self._stack.close)
            self.server.start()
            self._pgbouncer = PgBouncer(self.server.url)
            self._stack.callback(self._pgbouncer.remove)
            self._pgbouncer.start()
            failing.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def empty(self, kind: str) -> Iterator[str]:
        """Give the URL of an empty store of one of `KINDS`, for as long as a block lasts."""
        if kind == "sqlite":
            with tempfile.TemporaryDirectory(prefix="wix-asgi-") as room:
                yield f"sqlite:///{room}/wix-asgi.db"
            return
        with database(self.server.url) as url:
            yield self._pgbouncer.url(url) if kind == "pgbouncer" else url
