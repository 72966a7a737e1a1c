"""SQLAlchemy's asyncpg dialect, without the questions that only PostgreSQL itself can answer.

Beside it are functions that execute statements on a connection of asyncpg.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from wix_asgi_backends._compiled import Call, Outcome

__all__ = ["DRIVER", "Dialect", "send", "send_together"]

DRIVER = "postgresql+wix_asgi"

_READ_ONLY = "25006"  # read_only_sql_transaction


class Dialect(PGDialect_asyncpg):
    """Treats every server as PostgreSQL 13, and sets up no JSON types.

    Compatible servers report other versions, or versions that cannot be parsed, and CockroachDB
    has no type `json`. It also saves three queries per connection.
    """

    supports_statement_cache = True

    def is_disconnect(self, e: Any, connection: Any, cursor: Any) -> bool:
        """Drop the connections to a read-only server, too: another server is the primary now."""
        is_read_only = getattr(e, "sqlstate", None) == _READ_ONLY
        return is_read_only or super().is_disconnect(e, connection, cursor)  # type: ignore[no-untyped-call] # SQLAlchemy says nothing of it

    def _get_server_version_info(self, connection: Any) -> tuple[int, ...]:
        del connection
        return (13, 0)

    async def setup_asyncpg_json_codec(self, conn: Any) -> None:
        """Leave JSON alone."""

    async def setup_asyncpg_jsonb_codec(self, conn: Any) -> None:
        """Leave JSONB alone."""


async def send(connection: Any, calls: Sequence[Call]) -> Outcome:
    """Execute statements one after another, each as a transaction of its own.

    Errors are those of asyncpg.
    """
    outcomes = [await _send_one(connection, call) for call in calls]
    return Outcome(outcomes[-1].rows, outcomes[0].count)


async def _send_one(connection: Any, call: Call) -> Outcome:
    compiled = call.compiled
    if compiled.returns_rows:
        rows = compiled.rows(await connection.fetch(compiled.text, *call.arguments))
        return Outcome(rows, len(rows))
    status: str = await connection.execute(compiled.text, *call.arguments)
    # Such as "INSERT 0 1" and "UPDATE 1".
    return Outcome((), int(status.rpartition(" ")[2]))


async def send_together(connection: AsyncConnection, statements: Sequence[str]) -> None:
    """Send statements as one message: it is one transaction, also to a pooler and to CockroachDB.

    Errors are those of asyncpg.
    """
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    await driver.execute("; ".join(statements))


registry.register(DRIVER.replace("+", "."), __name__, Dialect.__name__)
