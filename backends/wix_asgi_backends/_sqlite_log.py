"""The write-ahead log beside an SQLite file, and the consequences of its removal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final
from weakref import ref

from sqlalchemy.pool import ConnectionPoolEntry

from wix_asgi_backends._sqlite_file import file_id

__all__ = ["LogRemoved", "Logs"]


class LogRemoved(OSError):
    """The log was removed while it was in use: other processes would not see writes to it."""


class Logs:
    """The logs that the connections of this process write to.

    A connection that is opened after the log was removed creates another log, and two logs of one
    file damage it. So the content of a removed log is brought into the file, and from then on this
    process uses neither the removed log nor a new one: other processes may still be writing to the
    removed one.
    """

    def __init__(self, path: Path) -> None:
        """Begin without connections to the file at `path`."""
        self._path: Final = path
        self._used: Final[dict[ref[ConnectionPoolEntry], _Log]] = {}
        self._newest: _Log | None = None
        self._is_gone = False

    @property
    def are_as_before(self) -> bool:
        """Whether the log is still that of the connection that was made last."""
        return self._newest is not None and not self._newest.is_gone

    def add(self, entry: ConnectionPoolEntry) -> None:
        """Remember the log that a new connection has begun to use."""
        # A connection that a loop left open is forgotten when the garbage collector takes it.
        self._newest = self._used[ref(entry, self._forget)] = _Log(self._path)

    def drop(self, _connection: object, entry: ConnectionPoolEntry) -> None:
        """Forget the log of a connection that is being closed."""
        self._forget(ref(entry))

    def check(self, connection: Any, entry: ConnectionPoolEntry) -> None:
        """Raise LogRemoved if the log of a connection is gone; its content is saved before."""
        log = self._used[ref(entry)]
        if log.is_gone:
            self._is_gone = True
            if not log.is_replaced:
                _bring_into_file(connection)
            raise LogRemoved

    def check_all(self) -> None:
        """Raise LogRemoved if a new connection would create a second log."""
        # list() copies: loops of other threads connect and close during the iteration. A connection
        # that is closed meanwhile was forgotten before SQLite removed the log with it.
        if self._is_gone or any(
            log.is_gone and entry in self._used for entry, log in list(self._used.items())
        ):
            raise LogRemoved

    def forget(self) -> None:
        """Allow new connections again; the connections of other loops are still watched."""
        self._is_gone = False

    def _forget(self, entry: ref[ConnectionPoolEntry]) -> None:
        self._used.pop(entry, None)


class _Log:
    def __init__(self, path: Path) -> None:
        # SQLite creates the log beside the file that a symbolic link leads to.
        name = os.path.realpath(path)
        self._files: Final = [f"{name}{end}" for end in ("-wal", "-shm")]
        self._ids: Final = self._now()

    @property
    def is_gone(self) -> bool:
        return self._ids != self._now()

    @property
    def is_replaced(self) -> bool:
        pairs = zip(self._now(), self._ids, strict=True)
        return any(now is not None and now != before for now, before in pairs)

    def _now(self) -> list[tuple[int, int] | None]:
        return [file_id(file) for file in self._files]


def _bring_into_file(connection: Any) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA wal_checkpoint(FULL)")
    cursor.close()
