"""Executes statements on a connection of aiosqlite, in one call of its thread.

Each call of the thread has the event loop wait for another thread twice, which takes longer than
most statements. Within one call a caller that gives up leaves no open cursor and no transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from wix_asgi_backends._compiled import Call, Outcome

__all__ = ["send"]

# The driver's words for a connection whose thread has ended, which it tells as a ValueError.
_CLOSED: Final = {"no active connection", "Connection closed"}


async def send(connection: Any, calls: Sequence[Call]) -> Outcome:
    """Execute one statement, or several in a transaction.

    Raises:
        sqlite3.Error: A statement failed, and nothing was changed; or the connection is closed.
    """
    work = _execute if len(calls) == 1 else _execute_together
    try:
        outcome: Outcome = await connection._execute(work, connection, calls)
    except ValueError as exc:
        if str(exc) not in _CLOSED:
            raise
        # The words by which every release of SQLAlchemy knows a lost connection.
        raise sqlite3.OperationalError("no active connection") from exc
    return outcome


def _execute(connection: Any, calls: Sequence[Call]) -> Outcome:
    database: sqlite3.Connection = connection._conn
    outcomes = [_execute_one(database, call) for call in calls]
    return Outcome(outcomes[-1].rows, outcomes[0].count)


def _execute_together(connection: Any, calls: Sequence[Call]) -> Outcome:
    database: sqlite3.Connection = connection._conn
    # With the lock for writing from the beginning: a transaction that reads first, and finds a
    # writer before its own write, fails without waiting for it.
    database.execute("BEGIN IMMEDIATE")
    try:
        outcome = _execute(connection, calls)
        database.commit()
    except BaseException:
        database.rollback()
        raise
    return outcome


def _execute_one(database: sqlite3.Connection, call: Call) -> Outcome:
    cursor = database.execute(call.compiled.text, call.arguments)
    rows = call.compiled.rows(cursor.fetchall())
    return Outcome(rows, cursor.rowcount)
