"""Detached tasks: work that goes on when its caller is cancelled or hangs up."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

import anyio
from anyio.lowlevel import cancel_shielded_checkpoint

from wix_asgi.concurrency.per_loop import running_loop

__all__ = ["DetachedTask", "DetachedTasks", "Interrupted"]

T = TypeVar("T")

logger = logging.getLogger("wix_asgi")

_CLEANUP_SECONDS: Final = 5.0
"""How long `DetachedTasks.aclose` waits for cancelled work to end. Such work may still free a
lease or a connection, shielded; work that ignores its cancellation must not stop a shutdown."""


class Interrupted(Exception):
    """The process is shutting down, and this work was not finished."""


class DetachedTask(Generic[T]):
    """One piece of detached work, and its outcome for any number of waiting tasks.

    Attributes:
        is_waited_for: Whether a shutdown waits for the work, or cancels it at once.
    """

    def __init__(self, *, is_waited_for: bool = True) -> None:
        """Belong to the running event loop, which must be the loop that runs the work."""
        self.is_waited_for = is_waited_for
        self._is_done = self._is_cancelled = False
        # Made where they are used, which spares most tasks the event; and a callback of the event
        # loop, which is no task, can make neither.
        self._done: anyio.Event | None = None
        self._scope: anyio.CancelScope | None = None
        self._error: Exception | None = None
        self._result: T

    @property
    def is_done(self) -> bool:
        """Whether the work has ended and its outcome is known."""
        return self._is_done

    async def wait(self) -> None:
        """Wait for the end of the work, and raise none of its errors."""
        if self._done is None:
            self._done = anyio.Event()
        if self._is_done:
            self._done.set()
        await self._done.wait()

    async def result(self) -> T:
        """Wait for the outcome. Cancelling this wait does not touch the work.

        Raises:
            Interrupted: The process is shutting down.
            Exception: The error that the work raised.
        """
        await self.wait()
        if self._error is not None:
            # Every waiting task raises the same object, and must not prolong the traceback of
            # the task before it. Nothing is hidden: `_frames.without_frames` would drop the
            # frames of the causes, too.
            raise self._error.with_traceback(None)
        return self._result

    async def run(self, work: Callable[[], Awaitable[T]]) -> None:
        """Do the work and keep its outcome; only a cancellation from outside goes through."""
        self._error = Interrupted()
        self._scope = anyio.CancelScope()
        if self._is_cancelled:
            self._scope.cancel()
        try:
            with self._scope:
                # Loops that start tasks eagerly would run the work before start() has returned.
                await cancel_shielded_checkpoint()
                self._result = await work()
                self._error = None
        except Exception as exc:
            self._error = exc
        finally:
            self._is_done = True
            if self._done is not None:
                self._done.set()

    def cancel(self) -> None:
        """Cancel the work where it waits; unless it ends well, `result` raises `Interrupted`."""
        self._is_cancelled = True
        if self._scope is not None:
            self._scope.cancel()


class DetachedTasks:
    """Starts detached work on asyncio and trio, and waits for it at shutdown."""

    def __init__(self, *, cleanup_seconds: float = _CLEANUP_SECONDS) -> None:
        """Start with no task; `aclose` gives cancelled tasks `cleanup_seconds` to end."""
        self._cleanup_seconds = cleanup_seconds
        self._running: dict[DetachedTask[Any], object] = {}
        # asyncio itself keeps only weak references to its tasks.
        self._asyncio_tasks: set[asyncio.Task[None]] = set()

    def start(
        self, work: Callable[[], Awaitable[T]], *, is_waited_for: bool = True
    ) -> DetachedTask[T]:
        """Start `work` on the running event loop, and return at once.

        Work that is not `is_waited_for` is cancelled when `aclose` begins.
        """
        task: DetachedTask[T] = DetachedTask(is_waited_for=is_waited_for)
        self._running[task] = running_loop()
        self.spawn(lambda: self._run(task, work))
        return task

    def spawn(self, run: Callable[[], Awaitable[None]]) -> None:
        """Start a task of the running event loop, also from a callback of it.

        Nothing waits for it, and nothing cancels it; `run` must not raise.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            _spawn_on_trio(run)
            return
        asyncio_task = asyncio.ensure_future(run())
        self._asyncio_tasks.add(asyncio_task)
        asyncio_task.add_done_callback(self._asyncio_tasks.discard)

    async def aclose(self, grace: float) -> None:
        """Wait up to `grace` seconds for the tasks of this event loop, then cancel the rest."""
        for task in self._tasks_here():
            if not task.is_waited_for:
                task.cancel()
        with anyio.move_on_after(grace):
            await self._wait_for_all()
        unfinished = self._tasks_here()
        if not unfinished:
            return
        logger.warning("shutdown did not wait for %d unfinished operations", len(unfinished))
        for task in unfinished:
            task.cancel()
        with anyio.move_on_after(self._cleanup_seconds):
            await self._wait_for_all()

    async def _wait_for_all(self) -> None:
        while tasks := self._tasks_here():
            await tasks[0].wait()

    def _tasks_here(self) -> list[DetachedTask[Any]]:
        here = running_loop()
        # Copied first: another thread's loop may start a task meanwhile.
        return [task for task, loop in list(self._running.items()) if loop is here]

    async def _run(self, task: DetachedTask[T], work: Callable[[], Awaitable[T]]) -> None:
        try:
            await task.run(work)
        finally:
            del self._running[task]


def _spawn_on_trio(run: Callable[[], Awaitable[None]]) -> None:
    import trio  # noqa: PLC0415 - installed where it is the running loop, and only there

    # A system task belongs to the run and to no nursery, so no caller's cancellation reaches it.
    # It has the context variables of its caller, as a task of asyncio has.
    trio.lowlevel.spawn_system_task(run, context=contextvars.copy_context())
