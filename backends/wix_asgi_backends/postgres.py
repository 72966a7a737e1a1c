"""`postgresql://…`: many hosts.

No advisory locks, LISTEN, sequences, session settings or prepared statements: it works behind
PgBouncer in transaction mode, and on engines that speak Postgres' protocol.
"""

from __future__ import annotations

from typing import Final, Self

import asyncpg
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from wix_asgi_backends._postgres_url import Target, parse_url
from wix_asgi_backends._sql import SQLStorage

__all__ = ["PostgresStorage"]

_CONNECTIONS: Final = 10
_POOL_SECONDS: Final = 5
_RECYCLE_SECONDS: Final = 300


class PostgresStorage(SQLStorage):
    """Installations in a Postgres; asyncio only, at most ten connections for each event loop."""

    driver_errors = (asyncpg.PostgresError, asyncpg.InterfaceError)

    def __init__(self, target: Target) -> None:
        """Keep them in the database of `target`."""
        self._target = target
        super().__init__(self._make_engine, insert)

    @classmethod
    def from_url(cls, url: str) -> Self:
        """Read a URL as hosting services hand it out.

        Raises:
            SettingsError: It has a parameter that means nothing here; no value is shown.
        """
        return cls(parse_url(url))

    def __repr__(self) -> str:
        return f"<PostgresStorage {self._target.url.render_as_string(hide_password=True)}>"

    def _make_engine(self) -> AsyncEngine:
        return create_async_engine(
            self._target.url,
            connect_args=self._target.connect_args,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_timeout=_POOL_SECONDS,
            pool_recycle=_RECYCLE_SECONDS,
        )
