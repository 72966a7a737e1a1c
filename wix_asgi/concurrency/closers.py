"""Closes resources on the event loops that use them, from code that cannot await."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from wix_asgi.concurrency._wakers import Waker, new_waker
from wix_asgi.concurrency.call_soon import call_soon
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.concurrency.per_loop import running_loop

__all__ = ["Closers"]

Close = Callable[[], Awaitable[object]]


class Closers:
    """The resources in use, with every event loop on which each of them is to be closed."""

    def __init__(self, *, getpid: Callable[[], int] = os.getpid) -> None:
        """Begin with no resource."""
        self._getpid = getpid
        self._closers: dict[tuple[object, object], _Closer] = {}
        self._begun: list[_Closer] = []

    def __contains__(self, resource: object) -> bool:
        return any(known is resource for known, _ in list(self._closers))

    def add(self, resource: object, close: Close) -> None:
        """Call `close` on the running event loop when the resources are closed.

        A resource has one call on each event loop, the first that was added.
        """
        loop = running_loop()
        self._closers.setdefault((resource, loop), _Closer(close, loop, self._getpid()))

    def discard(self, resource: object) -> None:
        """Leave a resource alone on the running event loop, where it is closed."""
        self._closers.pop((resource, running_loop()), None)

    def close(self, seconds: float) -> None:
        """Close all resources, and wait up to `seconds` for event loops of other threads.

        An idle event loop of this thread is run until its resources are closed. The running event
        loop of this thread closes them after this call: `is_closing` tells until when. Errors are
        dropped, and so are event loops that are over, and those of a process that was forked.
        """
        pid = self._getpid()
        closers = [closer for closer in list(self._closers.values()) if closer.pid == pid]
        self._closers.clear()
        idle = [closer for closer in closers if closer.is_idle_here]
        others = [closer for closer in closers if closer not in idle]
        self._begun = [closer for closer in others if closer.begin()]
        for closer in idle:
            closer.run()
        until = time.monotonic() + seconds
        for closer in self._begun:
            closer.wait(max(0.0, until - time.monotonic()))

    @property
    def is_closing(self) -> bool:
        """Whether resources are still being closed, on event loops that are not over."""
        return any(closer.is_closing for closer in self._begun)


class _Closer:
    """The closing of one resource on one event loop."""

    def __init__(self, close: Close, loop: Any, pid: int) -> None:
        """Belong to the running event loop."""
        self.pid = pid
        self._close = close
        self._loop = loop
        self._thread = threading.get_ident()
        self._waker: Waker
        self._tasks = DetachedTasks()
        self._is_over = False

    @property
    def is_idle_here(self) -> bool:
        """Whether this thread may run the event loop, which nothing runs at the moment."""
        return self._is_idle and self._is_of_this_thread and not _is_loop_running_here()

    @property
    def is_closing(self) -> bool:
        """Whether the closing is under way, on an event loop that is not over."""
        return not self._is_over and call_soon(self._loop, _do_nothing)

    def begin(self) -> bool:
        """Have the event loop begin; return False if it is over."""
        self._waker = new_waker()
        if call_soon(self._loop, lambda: self._tasks.spawn(self._run)):
            return True
        self._waker.close()
        return False

    def run(self) -> None:
        """Run the idle event loop until the end of the closing."""
        self._waker = new_waker()
        self._loop.run_until_complete(self._run())
        self._waker.close()

    def wait(self, seconds: float) -> None:
        """Wait for the end of the closing, unless that needs this very thread."""
        try:
            if not self._is_idle and not self._is_of_this_thread:
                self._waker.wait(seconds)
        finally:
            self._waker.close()

    @property
    def _is_idle(self) -> bool:
        is_asyncio = isinstance(self._loop, asyncio.AbstractEventLoop)
        return is_asyncio and not self._loop.is_running() and not self._loop.is_closed()

    @property
    def _is_of_this_thread(self) -> bool:
        return self._thread == threading.get_ident()

    async def _run(self) -> None:
        try:
            with contextlib.suppress(Exception):
                await self._close()
        finally:
            self._is_over = True
            self._waker.wake()


def _is_loop_running_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _do_nothing() -> None: ...
