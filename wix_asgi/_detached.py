"""Work that goes on when whoever asked for it is cancelled or hangs up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import anyio
from anyio.lowlevel import EventLoopToken, current_token

__all__ = ["Detached", "Flight"]

T = TypeVar("T")

logger = logging.getLogger("wix_asgi")


class Flight(Generic[T]):
    """One piece of detached work, and its outcome for any number of waiters."""

    def __init__(self) -> None:
        """Be created on the event loop that will run the work."""
        self._landed = anyio.Event()
        self._error: BaseException | None = None
        self._result: T

    @property
    def landed(self) -> bool:
        """Whether the outcome is known."""
        return self._landed.is_set()

    async def result(self) -> T:
        """Wait for the outcome. Cancelling a waiter does not touch the work.

        Raises:
            WixUnavailable: The process is shutting down.
            Exception: Whatever the work raised.
        """
        await self._landed.wait()
        if self._error is not None:
            # Every waiter raises the same object: each begins its traceback anew.
            raise self._error.with_traceback(None)
        return self._result

    async def run(self, work: Callable[[], Awaitable[T]]) -> None:
        """Do the work and keep its outcome; only a cancellation goes through."""
        try:
            self._result = await work()
        except Exception as exc:
            self._error = exc
        except BaseException:
            self._error = RuntimeError("cancelled: the process is shutting down")
            raise
        finally:
            self._landed.set()


class Detached:
    """Starts detached work on asyncio and trio, and waits for it at shutdown."""

    def __init__(self) -> None:
        """Start with nothing in flight."""
        self._running: dict[Flight[Any], EventLoopToken] = {}
        # asyncio itself keeps only weak references to its tasks.
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Callable[[], Awaitable[T]]) -> Flight[T]:
        """Start `work` on the running event loop, and return at once."""
        flight: Flight[T] = Flight()
        self._running[flight] = current_token()
        self._spawn(lambda: self._fly(flight, work))
        return flight

    async def aclose(self, grace: float) -> None:
        """Wait up to `grace` seconds for what runs on this event loop, then cancel it."""
        here = current_token()
        mine = [flight for flight, loop in self._running.items() if loop == here]
        with anyio.move_on_after(grace):
            for flight in mine:
                await flight._landed.wait()  # its errors are the waiters'
            return
        logger.warning("shutdown did not wait for %d unfinished operations", len(mine))
        for task in self._tasks:
            task.cancel()

    async def _fly(self, flight: Flight[T], work: Callable[[], Awaitable[T]]) -> None:
        try:
            await flight.run(work)
        finally:
            del self._running[flight]

    def _spawn(self, fly: Callable[[], Awaitable[None]]) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            _spawn_on_trio(fly)
            return
        task = asyncio.ensure_future(fly())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _spawn_on_trio(fly: Callable[[], Awaitable[None]]) -> None:
    import trio  # noqa: PLC0415 - installed where it is the running loop, and only there

    # A system task belongs to the run, not to a nursery: nobody's cancellation reaches it.
    trio.lowlevel.spawn_system_task(fly)
