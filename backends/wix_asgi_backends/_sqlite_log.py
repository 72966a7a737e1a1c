"""The log beside the file of an SQLite database, and what happens when it is removed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final
from weakref import ref

from sqlalchemy.pool import ConnectionPoolEntry

from wix_asgi_backends._sqlite_file import file_id

__all__ = ["LogRemoved", "Logs"]


class LogRemoved(OSError):
    """The log was removed while it was in use: others would not see what is written to it."""


class Logs:
    """The logs that the connections of this process write to.

    Who connects when the log was removed makes another one, and two logs of one file damage it.
    So what is in a removed log is brought into the file, and from then on this process uses
    neither it nor a new one: other processes may be writing to the removed one yet.
    """

    def __init__(self, path: Path) -> None:
        """Make room for those of the connections to `path`."""
        self._path: Final = path
        self._used: Final[dict[ref[ConnectionPoolEntry], _Log]] = {}
        self._is_gone = False

    def add(self, entry: ConnectionPoolEntry) -> None:
        """Remember the log that a new connection has begun to use."""
        # What a loop left behind without closing it is forgotten as it is collected.
        self._used[ref(entry, self._used.pop)] = _Log(self._path)

    def drop(self, _connection: object, entry: ConnectionPoolEntry) -> None:
        """Forget that of a connection which is being closed."""
        self._used.pop(ref(entry), None)

    def check(self, connection: Any, entry: ConnectionPoolEntry) -> None:
        """Raise LogRemoved where the log of a connection is gone, once its content is safe."""
        log = self._used[ref(entry)]
        if log.is_gone:
            self._is_gone = True
            if not log.is_replaced:
                _bring_into_file(connection)
            raise LogRemoved

    def check_all(self) -> None:
        """Raise LogRemoved where a new connection would make a second log."""
        # A list: loops in other threads connect and close meanwhile.
        if self._is_gone or any(log.is_gone for log in list(self._used.values())):
            raise LogRemoved

    def forget(self) -> None:
        """Begin anew; what other loops have open still counts."""
        self._is_gone = False


class _Log:
    def __init__(self, path: Path) -> None:
        # SQLite puts it beside the file that a link leads to.
        name = os.path.realpath(path)
        self._files: Final = [Path(f"{name}{end}") for end in ("-wal", "-shm")]
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
