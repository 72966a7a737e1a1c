"""SQLAlchemy engines: one for each event loop of this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy.ext.asyncio import AsyncEngine

from wix_asgi.errors import StorageUnavailable
from wix_asgi_backends._pooled import Pooled

__all__ = ["ENGINE_OPTIONS", "Engines"]

# Every statement is a transaction of its own, so that there is never anything to roll back.
ENGINE_OPTIONS: Final[dict[str, Any]] = {
    "hide_parameters": True,
    "isolation_level": "AUTOCOMMIT",
    "max_overflow": 0,
    "pool_reset_on_return": None,
    # Seconds; equal to `Retry.total`, so that a statement that waits for a connection gives up
    # with the statement that holds the connection, and not before it.
    "pool_timeout": 10,
    "pool_use_lifo": True,
    "skip_autocommit_rollback": True,
}

# Seconds. To close a connection takes a message to the database; a database that needs longer than
# this is not answering, and must not keep the process from ending.
_CLOSE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Held:
    pooled: Pooled
    guard: AsyncGenerator[None, None]


_ByLoop = WeakKeyDictionary[asyncio.AbstractEventLoop, _Held]
_inherited: list[_ByLoop] = []


class Engines:
    """Makes an engine when an event loop first needs one, and closes it before the loop ends.

    Connections belong to the loop and to the process that made them: a forked child neither uses
    nor closes its parent's. Where not even that is safe (SQLite's locks belong to the process,
    too), the child of a process that has connections cannot use the storage at all.

    Args:
        make: Makes an engine that is not connected yet.
        survive_fork: Whether a forked child may make connections of its own.
        close_seconds: Seconds that closing an engine's connections may take; after that they are
            dropped without a farewell to the database.
    """

    def __init__(
        self,
        make: Callable[[], AsyncEngine],
        *,
        survive_fork: bool = True,
        close_seconds: float = _CLOSE_SECONDS,
    ) -> None:
        self._make = make
        self._survive_fork = survive_fork
        self._close_seconds = close_seconds
        self._pid = os.getpid()
        self._by_loop: _ByLoop = WeakKeyDictionary()

    async def current(self) -> AsyncEngine:
        """Return the engine of the running event loop.

        Raises:
            StorageUnavailable: As `pooled` does.
        """
        return (await self.pooled()).engine

    async def pooled(self) -> Pooled:
        """Return the engine of the running event loop, with its connections.

        Raises:
            StorageUnavailable: The loop is not asyncio's, or the storage had connections when this
                process was forked, and does not survive a fork.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError as exc:
            raise StorageUnavailable(
                "This storage needs asyncio: its database driver does not run on trio."
            ) from exc
        if self._is_lost:
            raise StorageUnavailable(
                "This storage was in use when its process was forked, so the child cannot use it: "
                "close it before, or open it in the child only."
            )
        self._leave_parent()
        held = self._by_loop.get(loop)
        return held.pooled if held else await self._begin(loop)

    async def dispose(self) -> None:
        """Close the connections of the running event loop; another loop closes its own."""
        if not self._is_lost:
            self._leave_parent()
            self._drop_closed_loops()
            held = self._by_loop.pop(asyncio.get_running_loop(), None) if self._by_loop else None
            if held:
                await held.guard.aclose()

    @property
    def _is_lost(self) -> bool:
        """Whether this process was forked from one whose connections make ours unsafe."""
        if self._pid == os.getpid() or self._survive_fork:
            return False
        # The connections of a closed loop were closed with the loop.
        return any(not loop.is_closed() for loop in self._by_loop)

    async def _begin(self, loop: asyncio.AbstractEventLoop) -> Pooled:
        self._drop_closed_loops()
        engine = self._make()
        guard = _close_at_end(engine, self._close_seconds)
        held = self._by_loop[loop] = _Held(Pooled(engine), guard)
        await anext(guard)
        return held.pooled

    def _drop_closed_loops(self) -> None:
        # keyrefs() is a list: loops of other threads come and go during the iteration.
        for reference in self._by_loop.keyrefs():
            loop = reference()
            if loop is not None and loop.is_closed():
                self._by_loop.pop(loop, None)

    def _leave_parent(self) -> None:
        if self._pid != os.getpid():
            # Kept for ever: even collecting them as garbage would close the parent's connections.
            _inherited.append(self._by_loop)
            self._by_loop = WeakKeyDictionary()
            self._pid = os.getpid()


async def _close_at_end(engine: AsyncEngine, close_seconds: float) -> AsyncGenerator[None, None]:
    """Close the engine when the event loop ends, for then it closes this waiting generator."""
    try:
        yield
    finally:
        try:
            async with asyncio.timeout(close_seconds):
                await engine.dispose()
        except TimeoutError:
            await engine.dispose(close=False)
