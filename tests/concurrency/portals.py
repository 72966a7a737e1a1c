"""Portals that end with the test, and work for them."""

from __future__ import annotations

import contextvars
import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.limits import PATIENCE
from wix_asgi.concurrency._wakers import LockWaker, Waker
from wix_asgi.concurrency.portal import Portal

T = TypeVar("T")
COLOUR = contextvars.ContextVar("COLOUR", default="none")


def run_here(
    use: Callable[[Portal], T],
    *,
    new_waker: Callable[[], Waker] = LockWaker,
    getpid: Callable[[], int] = os.getpid,
) -> T:
    """Run `use` in another thread with a portal whose own thread is this one; then stop it."""
    threads: queue.Queue[Callable[[], None]] = queue.Queue()
    here = Portal(start_thread=threads.put, new_waker=new_waker, getpid=getpid)

    def use_and_stop() -> T:
        try:
            return use(here)
        finally:
            here.stop()

    with ThreadPoolExecutor(1) as pool:
        used = pool.submit(use_and_stop)
        threads.get(timeout=PATIENCE)()
        return used.result(PATIENCE)


def run_and_stop(one: Portal, run: Callable[[], None]) -> None:
    """Have `run` be the thread of a portal that another thread stops once it runs."""
    running = threading.Event()

    async def tell() -> None:
        running.set()

    def stop() -> None:
        assert running.wait(PATIENCE)
        one.stop()

    one.start_soon(tell)
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(stop)
        run()
        stopped.result(PATIENCE)


async def ident() -> int:
    """Return the thread that runs this."""
    return threading.get_ident()


async def colour() -> str:
    """Return a context variable."""
    return COLOUR.get()


async def fail() -> None:
    """Raise an error."""
    raise LookupError("lost")


class Resource:
    """Something to close."""

    def __init__(self) -> None:
        self.closed_in: int | None = None

    async def aclose(self) -> None:
        self.closed_in = threading.get_ident()
