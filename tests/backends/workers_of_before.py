"""A worker of the version whose tables lack the later columns, by the statements that it executed.

`statements_of_before.json` has the tables as that version made them, and its statements as its
SQLAlchemy compiled them, with the names of their parameters in order.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from anyio import to_thread

from tests.daemons import connected
from tests.limits import PATIENCE
from wix_asgi.models import Record
from wix_asgi_backends._sql import SQLStorage

__all__ = ["Before", "WorkerOfBefore", "in_postgres", "in_sqlite", "tables"]

_KNOWN: Final = json.loads(Path(__file__).with_name("statements_of_before.json").read_text("utf-8"))

Execute = Callable[[str, Sequence[object]], Awaitable[tuple[list[Any], int]]]


def tables(engine: str) -> str:
    """Return the statements by which that version made its tables."""
    return "".join(f"{statement};\n" for statement in _KNOWN[engine]["tables"])


class WorkerOfBefore:
    """Reads and writes rows as a worker of that version does."""

    def __init__(self, engine: str, execute: Execute) -> None:
        """Work by `execute`, which returns the rows of a statement and the number it changed."""
        self._known = _KNOWN[engine]["statements"]
        self._execute = execute

    async def make_tables(self, engine: str) -> None:
        """Make the tables."""
        for statement in _KNOWN[engine]["tables"]:
            await self._execute(statement, ())

    async def get(self, app_id: str, instance_id: str) -> Any:
        """Return the row of an installation, or None."""
        rows, _ = await self._do("get", the_app=app_id.encode(), the_instance=instance_id.encode())
        return rows[0] if rows else None

    async def put(self, record: Record) -> None:
        """Write a record over any other."""
        await self._do("put", **_values(record))

    async def replace(self, record: Record, *, expected: str) -> bool:
        """Write a record by comparison."""
        _, count = await self._do("replace", the_expected=expected, **_values(record))
        return count > 0

    async def claim(self, name: str, owner: str, ttl: int) -> bool:
        """Claim a name for some seconds."""
        claim = {"the_name": name.encode(), "the_owner": owner, "the_ttl": ttl * 1000}
        _, count = await self._do("claim", **claim)
        return count > 0

    async def _do(self, name: str, **values: object) -> tuple[list[Any], int]:
        known = self._known[name]
        return await self._execute(known["sql"], [values[each] for each in known["parameters"]])


def _values(record: Record) -> dict[str, object]:
    return {
        "the_app": record.app_id.encode(),
        "the_instance": record.instance_id.encode(),
        "the_version": record.version,
        "the_refresh_token": record.refresh_token,
        "the_access_token": record.access_token,
        "the_lifetime": round(record.lifetime * 1000),
        "the_expires_in": round(record.expires_in * 1000),
        "the_failure": record.failure,
        "the_retry_in": round(record.retry_in * 1000),
    }


@dataclass(frozen=True)
class Before:
    """A database without tables, for workers of that version and for storages of this one."""

    engine: str
    make_storage: Callable[[], SQLStorage]
    worker: Callable[[], AbstractAsyncContextManager[WorkerOfBefore]]

    async def make_tables(self) -> None:
        """Make the tables as that version did."""
        async with self.worker() as worker:
            await worker.make_tables(self.engine)


def in_sqlite(path: Path, make_storage: Callable[[], SQLStorage]) -> Before:
    """Return the database in a new file, which its owner alone may open."""
    path.touch(0o600)
    return Before("sqlite", make_storage, partial(_worker_in_sqlite, path))


def in_postgres(url: str, make_storage: Callable[[], SQLStorage]) -> Before:
    """Return the database at this URL."""
    return Before("postgres", make_storage, partial(_worker_in_postgres, url))


@asynccontextmanager
async def _worker_in_sqlite(path: Path) -> AsyncIterator[WorkerOfBefore]:
    with closing(sqlite3.connect(path, PATIENCE, check_same_thread=False)) as connection:
        connection.isolation_level = None
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")

        async def execute(statement: str, values: Sequence[Any]) -> tuple[list[Any], int]:
            cursor = await to_thread.run_sync(connection.execute, statement, values)
            return cursor.fetchall(), cursor.rowcount

        yield WorkerOfBefore("sqlite", execute)


@asynccontextmanager
async def _worker_in_postgres(url: str) -> AsyncIterator[WorkerOfBefore]:
    async with connected(url) as connection:

        async def execute(statement: str, values: Sequence[object]) -> tuple[list[Any], int]:
            prepared = await connection.prepare(statement)
            rows = await prepared.fetch(*values)
            *_, count = prepared.get_statusmsg().split()
            return rows, int(count) if count.isdecimal() else 0

        yield WorkerOfBefore("postgres", execute)
