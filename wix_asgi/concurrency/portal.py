"""The portal: one event loop in a thread of its own, for code that cannot await.

A process has one portal, which begins with its first use and ends with the process. A forked
process gets its own, since threads do not survive a fork: `gunicorn --preload` and Celery fork
after the app's import. Under gevent's patches the thread is a real one, and a greenlet that waits
for the portal leaves its thread to other greenlets.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
import os
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, Protocol, TypeVar
from weakref import WeakSet

from wix_asgi.concurrency._wakers import LockWaker, Waker, check_patches, new_waker, real
from wix_asgi.concurrency.detached import Interrupted

__all__ = ["Portal", "close_with_portal", "portal"]

T = TypeVar("T")

_STOP_SECONDS: Final = 20.0
"""Seconds that the end of a process waits for its portal.

A Wix closes within fifteen: ten for work under way (`wix._SHUTDOWN_GRACE`), and five for cancelled
work to end (`detached._CLEANUP_SECONDS`). A portal that an app's own code blocks is left behind.
"""


_ENDING: Final = "The process is ending."
_NOT_BEGUN: Final = "The process is ending, or the system gives it no thread."


class _Closable(Protocol):
    async def aclose(self) -> None: ...


class Portal:
    """Runs async functions for the threads and greenlets of its process.

    Its thread begins with the first call, and keeps no process from ending.
    """

    def __init__(
        self,
        *,
        start_thread: Callable[[Callable[[], None]], object] | None = None,
        new_waker: Callable[[], Waker] = new_waker,
        stop_seconds: float = _STOP_SECONDS,
        getpid: Callable[[], int] = os.getpid,
    ) -> None:
        """Begin without a thread; `stop_seconds` limits each of the two waits of `stop`.

        Raises:
            RuntimeError: Gevent's patches came after the import of wix-asgi.
        """
        check_patches()
        self._start_thread = start_thread or _start_real_thread
        self._new_waker = new_waker
        self._stop_seconds = stop_seconds
        self._getpid = getpid
        self._pid = getpid()
        self._has_begun = real("_thread", "allocate_lock")()
        self._pending: deque[_Call[Any]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: WeakSet[_Closable] = WeakSet()
        self._over: Waker = LockWaker()

    def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` on the portal's event loop, and return its result.

        It has the context variables of the caller. An exception that ends the wait, such as a
        KeyboardInterrupt or gevent's Timeout, cancels it.

        Raises:
            RuntimeError: The portal's own event loop calls, which would wait for itself.
            Interrupted: The process is ending.
            Exception: The error of the work.
        """
        if self.is_here and asyncio.current_task() is not None:
            raise RuntimeError(
                "A sync client blocks the event loop that it works on: in async functions use the "
                "async client, such as event.client or wix.client(instance_id)."
            )
        return self._begin(work, self._new_waker()).result()

    def start_soon(self, work: Callable[[], Awaitable[object]]) -> None:
        """Run `work` on the portal's event loop, and wait for nothing; its errors are dropped.

        Raises:
            Interrupted: The process is ending.
        """
        self._begin(work, LockWaker())

    @property
    def is_here(self) -> bool:
        """Whether the running event loop is the portal's."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def close_at_end(self, resource: _Closable) -> None:
        """Close `resource` on the portal's event loop when the process ends, unless it is gone."""
        self._closing.add(resource)

    def stop(self) -> None:
        """Close all that is to be closed, and end the thread, as the end of the process does."""
        if self._loop is None or self._loop.is_closed() or self._getpid() != self._pid:
            return
        closed = LockWaker()
        self._begin(self._close, closed)
        if closed.wait(self._stop_seconds):
            self._over.wait(self._stop_seconds)

    def _begin(self, work: Callable[[], Awaitable[T]], waker: Waker) -> _Call[T]:
        call = _Call(work, waker, self._run_soon)
        self._pending.append(call)
        if self._has_begun.acquire(blocking=False):
            try:
                self._start_thread(self._run)
            except BaseException:
                # The system gives no thread, as at the end of a process; a later call tries again.
                self._has_begun.release()
                self._refuse_pending()
                raise
            atexit.register(self.stop)
        self._run_soon(self._start_pending)
        return call

    def _run_soon(self, function: Callable[[], object]) -> None:
        """Have the event loop call `function`; a loop that begins looks at the calls by itself."""
        if self._loop is None:
            return
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:
            raise Interrupted(_ENDING) from None

    def _start_pending(self) -> None:
        while self._pending:
            self._pending.popleft().start()

    def _run(self) -> None:
        # Its loop is made in its thread: gevent's selector belongs to the thread that makes it.
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve())
        finally:
            self._refuse_pending()
            self._over.wake()

    def _refuse_pending(self) -> None:
        while self._pending:
            self._pending.popleft().refuse()

    async def _serve(self) -> None:
        self._stopped = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._start_pending()
        await self._stopped.wait()

    async def _close(self) -> None:
        closing = (resource.aclose() for resource in list(self._closing))
        await asyncio.gather(*closing, return_exceptions=True)
        self._stopped.set()


class _Call(Generic[T]):
    """One piece of work on the portal's event loop, and the wait for it."""

    def __init__(
        self,
        work: Callable[[], Awaitable[T]],
        waker: Waker,
        run_soon: Callable[[Callable[[], object]], None],
    ) -> None:
        self._waker = waker
        self._work = work
        self._run_soon = run_soon
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[None]
        self._is_given_up = False
        self._error: BaseException | None = None
        self._value: T

    def start(self) -> None:
        """Begin the work, on the event loop."""
        self._task = self._context.run(asyncio.ensure_future, self._run())
        if self._is_given_up:
            self._task.cancel()

    def refuse(self) -> None:
        """End the wait for work that did not begin."""
        self._error = Interrupted(_NOT_BEGUN)
        self._waker.wake()

    def result(self) -> T:
        """Wait for the end of the work, and return its result; raises its error."""
        try:
            self._waker.wait()
        except BaseException:
            self._is_given_up = True
            with contextlib.suppress(Interrupted):
                self._run_soon(self._cancel)
            raise
        finally:
            self._waker.close()
        if self._error is None:
            return self._value
        try:
            raise self._error
        finally:
            # The error holds this frame, and must not be held by it.
            del self

    async def _run(self) -> None:
        try:
            self._value = await self._work()
        except asyncio.CancelledError:
            self._error = Interrupted(_ENDING)
        except BaseException as exc:
            # A SystemExit, too, is the caller's, and must not end the event loop.
            self._error = exc
        finally:
            self._waker.wake()

    def _cancel(self) -> None:
        self._task.cancel()


_portals: Final[dict[int, Portal]] = {}
"""By process id: in a forked process the portal of its parent has no thread."""


def portal() -> Portal:
    """Return the portal of this process.

    Raises:
        RuntimeError: Gevent's patches came after the import of wix-asgi.
    """
    pid = os.getpid()
    # Of two threads that make one, both get the first: `setdefault` is atomic.
    return _portals.get(pid) or _portals.setdefault(pid, Portal())


def close_with_portal(resource: _Closable) -> None:
    """Where the portal's event loop calls this, close `resource` when the process ends."""
    here = _portals.get(os.getpid())
    if here is not None and here.is_here:
        here.close_at_end(resource)


def _start_real_thread(run: Callable[[], None]) -> None:
    real("_thread", "start_new_thread")(run, ())
