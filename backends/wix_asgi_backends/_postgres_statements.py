"""Statements on a connection of asyncpg: prepared under a name where PostgreSQL itself answers.

asyncpg takes two round trips for a statement without a name, and parses it twice; a prepared one
takes a single round trip, and its plan is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
from sqlalchemy import PoolProxiedConnection

from wix_asgi_backends._compiled import Call, Compiled, Outcome

__all__ = ["send"]

_KEY: Final = "wix_asgi.statements"

# A name in a session's list of statements; the digest is half of a SHA-256, as names end at 63.
_PREFIX: Final = "wix_asgi_"
_DIGITS: Final = 32

# A limit that the planner does not know counts as a tenth of the table, for which a purge would
# read all claims. Statements with a limit are rare, and planned for their values each time.
_LIMIT: Final = "LIMIT $"

# A table was altered, so that a column of the result has another type (asyncpg has an error of its
# own for it, if it comes from PostgreSQL's code); the session lost its statements (DISCARD ALL,
# DEALLOCATE ALL, another server behind a proxy); it has the name already, from another client.
_LOST: Final = (
    asyncpg.FeatureNotSupportedError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)


async def send(
    connection: PoolProxiedConnection, calls: Sequence[Call], *, may_prepare: bool
) -> Outcome:
    """Execute statements one after another, each as a transaction of its own.

    Errors are those of asyncpg. Without `may_prepare` no statement gets a name.
    """
    # Lives as long as the driver's connection. Not in a mapping with weak keys: the prepared
    # statements refer to their connection, which would never be collected.
    statements = connection.info.get(_KEY)
    if statements is None:
        statements = _Statements(connection.driver_connection, may_prepare=may_prepare)
        connection.info[_KEY] = statements
    outcomes = [await statements.execute(call) for call in calls]
    return Outcome(outcomes[-1].rows, outcomes[0].count)


class _Statements:
    """The statements of one connection, prepared when they are executed for the second time.

    From the sixth execution on PostgreSQL may keep a plan for any values, as long as the connection
    lasts, or until the statistics of the table change.

    There is no limit to their number: the statements of the storage are all there are, about
    forty, and their texts do not depend on values.

    Args:
        driver: The connection of asyncpg.
        may_prepare: Whether they may have names, if the connection turns out to be direct.
    """

    def __init__(self, driver: Any, *, may_prepare: bool) -> None:
        self._driver: Final = driver
        self._is_direct: bool | None = None if may_prepare else False
        self._prepared: Final[dict[str, Any]] = {}
        self._seen: Final[set[str]] = set()

    async def execute(self, call: Call) -> Outcome:
        """Execute one statement."""
        compiled, arguments = call.compiled, call.arguments
        try:
            prepared = await self._prepare(compiled.text)
            if prepared is not None:
                rows = await prepared.fetch(*arguments)
                return _outcome(compiled, rows, prepared.get_statusmsg())
        except _LOST:
            # Nothing has been executed: the server refuses the statement before, and an error
            # would have undone its transaction. For the rest of its five minutes the connection
            # does without names, which is right whatever has happened to them.
            self._is_direct = False
            self._prepared.clear()
        if compiled.returns_rows:
            return _outcome(compiled, await self._driver.fetch(compiled.text, *arguments), "")
        return _outcome(compiled, (), await self._driver.execute(compiled.text, *arguments))

    async def _prepare(self, text: str) -> Any | None:
        """Return the prepared statement; None where it is to be executed without a name."""
        if self._is_direct is False or self._driver.is_closed() or _LIMIT in text:
            return None
        if (prepared := self._prepared.get(text)) is not None:
            return prepared
        if text not in self._seen:
            self._seen.add(text)
            return None
        if self._is_direct is None:
            self._is_direct = await _is_direct(self._driver)
        if not self._is_direct:
            return None
        # The name stands for the text: should a session be shared after all, then it has the same
        # statement under the name, whichever client has prepared it, and no more than one of each.
        digest = hashlib.sha256(text.encode()).hexdigest()
        prepared = await self._driver.prepare(text, name=_PREFIX + digest[:_DIGITS])
        self._prepared[text] = prepared
        return prepared


async def _is_direct(driver: Any) -> bool:
    """Return whether the session of a connection is the connection's own.

    A session begins with a key to cancel statements, which has the number of the server's process
    in PostgreSQL. Poolers that give a session to several clients make keys of their own (PgBouncer,
    Odyssey, PgCat), since a key must go on meaning this client. A pooler that hands on the key of
    its first session is noticed by the errors of the next.
    """
    try:
        return bool(await driver.fetchval("SELECT pg_backend_pid()") == driver.get_server_pid())
    except asyncpg.PostgresError:
        # A compatible server may lack the function.
        return False


def _outcome(compiled: Compiled, rows: Sequence[Any], status: str) -> Outcome:
    if compiled.returns_rows:
        return Outcome(compiled.rows(rows), len(rows))
    # Such as "INSERT 0 1" and "UPDATE 1".
    return Outcome((), int(status.rpartition(" ")[2]))
