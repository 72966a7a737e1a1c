"""Values of one event loop each, made on their first use."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from anyio.lowlevel import current_token

__all__ = ["PerLoop", "running_loop"]

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Values by event loop, on asyncio and trio; safe to share among threads.

    A value goes with its event loop, and all values go with this object.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        """Call `make` on each event loop that has no value yet."""
        self._make = make
        self._values: WeakKeyDictionary[object, T] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def here(self) -> T:
        """Return the value of the running event loop."""
        loop = running_loop()
        value = self._values.get(loop)
        return self._first(loop) if value is None else value

    def _first(self, loop: object) -> T:
        with self._lock:
            # A value that refers to its loop, as asyncio's connections do, keeps its own key
            # alive: the values of closed loops are dropped here.
            for other in [known for known in self._values if _is_closed(known)]:
                del self._values[other]
            value = self._make()
            self._values[loop] = value
            return value


def running_loop() -> object:
    """Return the running event loop: that of asyncio, or trio's token of a run.

    Raises:
        RuntimeError: No event loop runs here.
    """
    try:
        # Calls of a client, too, come here: anyio's way takes six times as long.
        return asyncio.get_running_loop()
    except RuntimeError:
        return current_token().native_token


def _is_closed(loop: object) -> bool:
    return isinstance(loop, asyncio.AbstractEventLoop) and loop.is_closed()
