"""SQLAlchemy's asyncpg dialect, without the questions that only PostgreSQL itself can answer.

Beside it is a function that sends several statements to asyncpg as one message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.util.concurrency import in_greenlet

__all__ = ["DRIVER", "Dialect", "send_together"]

DRIVER = "postgresql+wix_asgi"

_READ_ONLY = "25006"  # read_only_sql_transaction


class Dialect(PGDialect_asyncpg):
    """Treats every server as PostgreSQL 13, and sets up no JSON types.

    Compatible servers report other versions, or versions that cannot be parsed, and CockroachDB
    has no type `json`. It also saves three queries per connection.
    """

    supports_statement_cache = True

    def connect(self, *arguments: Any, **keywords: Any) -> Any:
        """Connect; outside of a greenlet refuse, before a coroutine is made and left behind."""
        if not in_greenlet():
            raise MissingGreenlet("connections are made in a greenlet")
        return super().connect(*arguments, **keywords)

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


async def send_together(connection: AsyncConnection, statements: Sequence[str]) -> None:
    """Send statements as one message: it is one transaction, also to a pooler and to CockroachDB.

    Errors are those of asyncpg.
    """
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    await driver.execute("; ".join(statements))


registry.register(DRIVER.replace("+", "."), __name__, Dialect.__name__)
