"""Adds the columns of this version to tables of an older one, which other workers go on using.

A statement that waits for a lock on a table has all later statements on that table wait behind it.
Postgres adds a column that may be NULL in an instant, but only once no other transaction has the
table: `pg_dump` has it until it is done.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any, Final

import asyncpg
from sqlalchemy import Column, Executable
from sqlalchemy.ext.asyncio import AsyncConnection

from wix_asgi.errors import StorageUnavailable
from wix_asgi_backends._postgres_dialect import send_together
from wix_asgi_backends._retry import sqlstate
from wix_asgi_backends._rows import milliseconds
from wix_asgi_backends._schema import additions

__all__ = ["add_columns"]

# Seconds for which adding columns waits for the lock, and other statements behind it. Those of our
# workers are over within some milliseconds.
_LOCK_SECONDS: Final = 0.2

# Seconds between two attempts of all workers together, so that the statements of other workers are
# held up for a fifth of the time, however many workers begin at once.
_BETWEEN: Final = 1.0

_NAME: Final = "wix-asgi:columns"
"""The claim of the worker with the one attempt; it is never released, and ends by itself."""

_INSUFFICIENT_PRIVILEGE: Final = "42501"

# The errors of servers without `lock_timeout`: undefined_object, feature_not_supported,
# invalid_parameter_value, no_active_sql_transaction.
_NO_TIMEOUT: Final = {"42704", "0A000", "22023", "25P01"}


async def add_columns(
    connection: AsyncConnection, columns: Sequence[Column[Any]], claim: Executable, store: str
) -> None:
    """Make one attempt to add `columns` to their table, unless another worker is at it.

    Args:
        connection: A connection on which every statement is a transaction of its own.
        columns: Columns of one table of ours, of which some may be there already.
        claim: The statement that claims a name.
        store: The kind and the place of the store, for messages.

    Raises:
        LockNotAvailableError: Another worker is at it, or another session has the table.
        StorageUnavailable: This user may not do it; the message has the SQL for the table's owner.
    """
    worker = {"the_name": _NAME, "the_owner": secrets.token_hex(8)}
    claimed = await connection.execute(claim, {**worker, "the_ttl": milliseconds(_BETWEEN)})
    if not claimed.rowcount:
        raise asyncpg.LockNotAvailableError("another worker adds the columns")
    (statement,) = additions(columns, connection.dialect)
    try:
        await _add(connection, statement)
    except asyncpg.InsufficientPrivilegeError as exc:
        raise StorageUnavailable(
            f"{store} cannot be used: it is of an older version, and this user may not add the "
            f"columns that it lacks ({_INSUFFICIENT_PRIVILEGE}). As the owner of the table run: "
            f"SET lock_timeout = '2s'; {' '.join(statement.split())}; and again where it gives up. "
            "`wix-asgi storage sql` prints it, too."
        ) from exc


async def _add(connection: AsyncConnection, statement: str) -> None:
    try:
        timeout = f"SET LOCAL lock_timeout = '{milliseconds(_LOCK_SECONDS)}ms'"
        await send_together(connection, [timeout, statement])
    except asyncpg.PostgresError as exc:
        if sqlstate(exc) not in _NO_TIMEOUT:
            raise
        await send_together(connection, [statement])
