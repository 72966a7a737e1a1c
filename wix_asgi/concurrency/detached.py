"""Work that goes on when whoever asked for it is cancelled or hangs up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

import anyio
from anyio.lowlevel import EventLoopToken, cancel_shielded_checkpoint, current_token

__all__ = ["DetachedTask", "DetachedTasks", "Interrupted"]

T = TypeVar("T")

logger = logging.getLogger("wix_asgi")

_LAST_WORDS: Final = 5.0


class Interrupted(Exception):
    """The process is shutting down, and this work was not finished."""


class DetachedTask(Generic[T]):
    """One piece of detached work, and its outcome for any number of waiters."""

    def __init__(self) -> None:
        """Be created on the event loop that will run the work."""
        self._landed = anyio.Event()
        self._scope = anyio.CancelScope()
        self._error: Exception | None = None
        self._result: T

    @property
    def landed(self) -> bool:
        """Whether the outcome is known."""
        return self._landed.is_set()

    async def wait(self) -> None:
        """Wait until the outcome is known, whatever it is."""
        await self._landed.wait()

    async def result(self) -> T:
        """Wait for the outcome. Cancelling a waiter does not touch the work.

        Raises:
            Interrupted: The process is shutting down.
            Exception: Whatever the work raised.
        """
        await self._landed.wait()
        if self._error is not None:
            # Every waiter raises the same object: each begins its traceback anew.
            raise self._error.with_traceback(None)
        return self._result

    async def run(self, work: Callable[[], Awaitable[T]]) -> None:
        """Do the work and keep its outcome; only a cancellation from outside goes through."""
        self._error = Interrupted()
        try:
            with self._scope:
                # Not before start() has returned, on a loop that starts tasks eagerly too.
                await cancel_shielded_checkpoint()
                self._result = await work()
                self._error = None
        except Exception as exc:
            self._error = exc
        finally:
            self._landed.set()

    def cancel(self) -> None:
        """End the work where it waits; its waiters get `Interrupted`."""
        self._scope.cancel()


class DetachedTasks:
    """Starts detached work on asyncio and trio, and waits for it at shutdown."""

    def __init__(self) -> None:
        """Start with nothing in flight."""
        self._running: dict[DetachedTask[Any], EventLoopToken] = {}
        # asyncio itself keeps only weak references to its tasks.
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Callable[[], Awaitable[T]]) -> DetachedTask[T]:
        """Start `work` on the running event loop, and return at once."""
        flight: DetachedTask[T] = DetachedTask()
        self._running[flight] = current_token()
        self._spawn(lambda: self._fly(flight, work))
        return flight

    async def aclose(self, grace: float) -> None:
        """Wait up to `grace` seconds for what runs on this event loop, then cancel it."""
        with anyio.move_on_after(grace):
            await self._wait_for_all()
        unfinished = self._here()
        if not unfinished:
            return
        logger.warning("shutdown did not wait for %d unfinished operations", len(unfinished))
        for flight in unfinished:
            flight.cancel()
        with anyio.move_on_after(_LAST_WORDS):
            await self._wait_for_all()

    async def _wait_for_all(self) -> None:
        while flights := self._here():
            await flights[0].wait()  # its errors are the waiters'

    def _here(self) -> list[DetachedTask[Any]]:
        here = current_token()
        # Copied first: another thread's loop may start something meanwhile.
        return [flight for flight, loop in list(self._running.items()) if loop == here]

    async def _fly(self, flight: DetachedTask[T], work: Callable[[], Awaitable[T]]) -> None:
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
