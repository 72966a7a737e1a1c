"""One engine for each event loop of each process: connections cannot move between them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from wix_asgi.errors import StorageUnavailable

__all__ = ["Engines"]


class Engines:
    """Makes an engine when a loop first asks for one; forgets those of loops that are closed."""

    def __init__(self, make: Callable[[], AsyncEngine]) -> None:
        """Call `make` for each new engine."""
        self._make = make
        self._pid = os.getpid()
        self._engines: dict[asyncio.AbstractEventLoop, AsyncEngine] = {}
        self._connections: WeakKeyDictionary[AsyncEngine, list[Any]] = WeakKeyDictionary()
        self._inherited: list[object] = []

    def here(self) -> AsyncEngine:
        """Return the engine of the running loop.

        Raises:
            StorageUnavailable: The running loop is not asyncio's.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise StorageUnavailable("SQL storages work on asyncio only; use memory://") from None
        if self._pid != os.getpid():
            self._leave_to_parent()
        if loop not in self._engines:
            self._forget_closed_loops()
            self._engines[loop] = self._watched(self._make())
        return self._engines[loop]

    async def aclose(self) -> None:
        """Close the connections of the running loop."""
        engine = self._engines.pop(asyncio.get_running_loop(), None)
        if engine is not None and self._pid == os.getpid():
            await engine.dispose()

    def _leave_to_parent(self) -> None:
        # Closing them here, or letting them be collected, would end the parent's sessions.
        self._inherited.append((self._engines, self._connections))
        self._engines = {}
        self._connections = WeakKeyDictionary()
        self._pid = os.getpid()

    def _forget_closed_loops(self) -> None:
        for loop in [loop for loop in self._engines if loop.is_closed()]:
            engine = self._engines.pop(loop)
            for connection in self._connections.pop(engine, []):
                _abandon(connection)
            engine.sync_engine.dispose(close=False)

    def _watched(self, engine: AsyncEngine) -> AsyncEngine:
        connections: list[Any] = []
        self._connections[engine] = connections

        @event.listens_for(engine.sync_engine, "connect")
        def connected(adapted: Any, _record: Any) -> None:
            connections.append(adapted.driver_connection)

        return engine


def _abandon(connection: Any) -> None:
    """End what a connection runs beside its loop: aiosqlite's thread."""
    stop = getattr(connection, "stop", None)
    if stop is not None:
        stop()
