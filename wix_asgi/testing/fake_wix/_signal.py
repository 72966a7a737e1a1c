"""Waits, on any event loop, for events on the event loops of other threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import anyio

__all__ = ["Signal"]


class Signal:
    """Tells waiting tasks, on any number of event loops, that something has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wakers: dict[anyio.Event, Callable[[], object]] = {}

    def notify(self) -> None:
        """Have every waiting task check its condition; from any thread, and without blocking."""
        with self._lock:
            for wake in self._wakers.values():
                wake()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return once `condition` holds; it is checked on entry and after every `notify`."""
        while not condition():
            event = anyio.Event()
            with self._lock:
                self._wakers[event] = _waker(event)
            try:
                if not condition():  # it may have come true before this task was registered
                    await event.wait()
            finally:
                with self._lock:
                    del self._wakers[event]


def _waker(event: anyio.Event) -> Callable[[], object]:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        import trio.lowlevel  # noqa: PLC0415 - only a program on trio gets here

        token = trio.lowlevel.current_trio_token()
        return lambda: token.run_sync_soon(event.set)
    return lambda: loop.call_soon_threadsafe(event.set)
