"""`sqlite:///file.db`: one file, any number of processes on one host.

WAL, and `synchronous=FULL`: what was stored survives a loss of power. Every write is one statement,
which takes SQLite's write lock at once and waits for it up to five seconds.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from sqlalchemy import URL, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from wix_asgi.errors import SettingsError, StorageUnavailable
from wix_asgi_backends._sql import SQLStorage

__all__ = ["SQLiteStorage"]

logger = logging.getLogger("wix_asgi")

_BUSY_MS: Final = 5000
_CONNECTIONS: Final = 5


class SQLiteStorage(SQLStorage):
    """Installations in a SQLite file of mode 0600; asyncio only, not on a network file system."""

    def __init__(self, path: str | Path) -> None:
        """Keep them in the file at `path`, which is made when it is missing."""
        self.path = Path(path)
        super().__init__(self._make_engine, insert)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Read `sqlite:///file.db` (beside the working directory) or `sqlite:////abs/file.db`.

        Raises:
            SettingsError: It names no file, or has more than a file.
        """
        parts = urlsplit(url)
        path = unquote(parts.path[1:])
        if parts.netloc or not path or path == ":memory:":
            raise SettingsError(
                "A SQLite URL names a file: sqlite:///file.db or sqlite:////abs/file.db. "
                "For a storage in memory write memory://."
            )
        if parts.query or parts.fragment:
            raise SettingsError("A SQLite URL takes no parameters: only sqlite:///file.db.")
        return cls(path)

    def __repr__(self) -> str:
        return f"<SQLiteStorage {self.path}>"

    def _prepared(self) -> Callable[[], Awaitable[None]]:
        async def make_file() -> None:
            # Before SQLite makes it by the umask; its -wal and -shm files take over the mode.
            try:
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            except OSError as exc:
                raise StorageUnavailable(f"{self.path}: {exc.strerror}.") from exc
            parent = self.path.parent.stat()
            if parent.st_mode & stat.S_IWOTH and not parent.st_mode & stat.S_ISVTX:
                logger.warning("anybody may replace %s: its directory is writable", self.path)

        return make_file

    def _make_engine(self) -> AsyncEngine:
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(self.path)),
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_BUSY_MS / 1000,
        )
        event.listen(engine.sync_engine, "connect", _set_up)
        return engine


def _set_up(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    # First: the switch to WAL waits for others, too.
    cursor.execute(f"PRAGMA busy_timeout={_BUSY_MS}")
    cursor.execute("PRAGMA journal_mode=WAL")
    (mode,) = cursor.fetchone()
    if mode != "wal":
        raise StorageUnavailable(f"SQLite cannot use WAL here, but {mode}: is it a local disk?")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
