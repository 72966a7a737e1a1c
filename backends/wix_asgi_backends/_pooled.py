"""The pooled connections of an engine, and statements that go to their driver directly.

SQLAlchemy compiles a statement once, and its pool makes, checks and replaces the connections; its
execution of a statement is left out, which took most of the time of a read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, cast

from sqlalchemy import Executable, PoolProxiedConnection
from sqlalchemy.exc import MissingGreenlet
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import greenlet_spawn

from wix_asgi_backends._compiled import Call, Compiled, Outcome

__all__ = ["Pooled", "Send"]

Send = Callable[[PoolProxiedConnection, Sequence[Call]], Awaitable[Outcome]]
"""Executes statements by a connection's driver, of which the first and the last count."""


class Pooled:
    """An engine, and its connections in turn.

    Attributes:
        engine: The engine.
        turns: The right to a connection, which goes to the callers in the order in which they
            asked: the pool gives a connection that is returned to whoever asks at that moment,
            and a caller in a loop would have it again and again.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        """Begin without a connection."""
        self.engine: Final = engine
        self.turns: Final = asyncio.Semaphore(cast("QueuePool", engine.pool).size())
        self._compiled: Final[dict[Executable, Compiled]] = {}

    async def send(
        self,
        send: Send,
        statements: Sequence[Executable],
        values: Mapping[str, object],
        *,
        is_simple: bool,
    ) -> Outcome:
        """Execute `statements` with `values` on one connection, by the driver's own `send`.

        `is_simple` where an idle connection can be expected to be as it was left.

        A connection on which an execution was cut off, or whose server is gone, is not used again.
        """
        connection = await self._check_out(is_simple=is_simple)
        try:
            calls = [self._call(statement, values) for statement in statements]
            outcome = await send(connection, calls)
        except BaseException as exc:
            await self._give_back_after(exc, connection)
            raise
        connection.close()
        return outcome

    async def _check_out(self, *, is_simple: bool) -> PoolProxiedConnection:
        if is_simple:
            # An idle connection is taken without one of SQLAlchemy's greenlets, each of which has
            # the system map memory for its stack: 25 to 45 us, as much as a statement.
            with suppress(MissingGreenlet):
                return self.engine.sync_engine.raw_connection()
        return await self.engine.raw_connection()

    def _call(self, statement: Executable, values: Mapping[str, object]) -> Call:
        compiled = self._compiled.get(statement)
        if compiled is None:
            compiled = self._compiled[statement] = Compiled(statement, self.engine.dialect)
        return Call(compiled, compiled.arguments(values))

    async def _give_back_after(self, error: BaseException, connection: Any) -> None:
        if not isinstance(error, Exception):
            await greenlet_spawn(connection.invalidate, error)
        elif self.engine.dialect.is_disconnect(cast("Any", error), connection, None):
            # With all connections that were made before it, as SQLAlchemy does: each of them would
            # fail an operation of its own.
            await greenlet_spawn(self._invalidate_all, connection, error)
        else:
            connection.close()

    def _invalidate_all(self, connection: PoolProxiedConnection, error: Exception) -> None:
        self.engine.sync_engine.pool._invalidate(connection, error)
