"""Tables of an SQLite file appear with their indexes, as other workers see them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from wix_asgi_backends._schema import METADATA
from wix_asgi_backends.sqlite import SQLiteStorage

INDEXES = {
    str(index.name): table.name for table in METADATA.sorted_tables for index in table.indexes
}


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio: the driver needs it."""
    return "asyncio"


class Watched(SQLiteStorage):
    """A storage, and the tables and indexes that another worker saw after each statement."""

    def __init__(self, path: Path, *, fails_at: str) -> None:
        """Fail once at the statement that begins with `fails_at`, unless it is empty."""
        super().__init__(path)
        self.file = path
        self.fails_at = fails_at
        self.seen: list[set[str]] = []

    def _make_engine(self) -> AsyncEngine:
        engine = super()._make_engine()
        event.listen(engine.sync_engine, "after_cursor_execute", self._look)
        return engine

    def _look(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        with closing(sqlite3.connect(self.file)) as other:
            self.seen.append({name for (name,) in other.execute("SELECT name FROM sqlite_master")})
        if self.fails_at and statement.lstrip().startswith(self.fails_at):
            self.fails_at = ""
            error = sqlite3.OperationalError("database is locked")
            error.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise error


@pytest.mark.parametrize("fails_at", ["", "CREATE INDEX", "BEGIN"])
async def test_no_table_is_seen_without_its_indexes(tmp_path: Path, fails_at: str) -> None:
    """At no moment of a first start another worker finds a table that lacks an index.

    That is so, too, where a statement fails, and the start is repeated.
    """
    async with Watched(tmp_path / "store.db", fails_at=fails_at) as storage:
        pass
    lacking = [
        name
        for seen in storage.seen
        for name, table in INDEXES.items()
        if table in seen and name not in seen
    ]

    assert [] == lacking
    assert {*INDEXES} <= storage.seen[-1]
    assert not storage.fails_at
