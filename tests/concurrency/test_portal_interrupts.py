"""Calls of the portal that are interrupted."""

from __future__ import annotations

import threading
from collections.abc import Callable

import anyio
import pytest

from tests.concurrency.portals import (
    ident,
    run_and_stop,
    run_here,
)
from tests.limits import PATIENCE
from wix_asgi.concurrency._wakers import LockWaker
from wix_asgi.concurrency.detached import Interrupted
from wix_asgi.concurrency.portal import Portal


class Interrupting(LockWaker):
    """A wait that a signal's handler ends, once `ready` is set."""

    ready: threading.Event

    def wait(self, seconds: float | None = None) -> bool:
        assert self.ready.wait(PATIENCE)
        raise KeyboardInterrupt


def test_interrupted_call_is_cancelled() -> None:
    """The work is cancelled, and other work goes on."""
    ended = threading.Event()

    class Struck(Interrupting):
        ready = threading.Event()

    async def hang() -> None:
        Struck.ready.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    def use(here: Portal) -> int:
        with pytest.raises(KeyboardInterrupt):
            here.call(hang)
        assert ended.wait(PATIENCE)
        return here.call(ident)

    wakers = iter([Struck(), LockWaker()])

    assert threading.get_ident() == run_here(use, new_waker=lambda: next(wakers))


def test_call_that_is_interrupted_before_the_portal_runs_does_nothing() -> None:
    """Its work does not begin."""
    threads: list[Callable[[], None]] = []
    begun: list[str] = []

    class Struck(Interrupting):
        ready = threading.Event()
        ready.set()

    async def begin() -> None:
        begun.append("begun")

    one = Portal(start_thread=threads.append, new_waker=Struck)
    with pytest.raises(KeyboardInterrupt):
        one.call(begin)
    run_and_stop(one, threads.pop())

    assert [] == begun


def test_interrupt_at_the_end_is_passed_on() -> None:
    """KeyboardInterrupt stays what it is where the portal has ended meanwhile."""
    threads: list[Callable[[], None]] = []

    class Ending(LockWaker):
        def wait(self, seconds: float | None = None) -> bool:
            run_and_stop(one, threads.pop())
            raise KeyboardInterrupt

    one = Portal(start_thread=threads.append, new_waker=Ending)
    with pytest.raises(KeyboardInterrupt):
        one.call(ident)
    with pytest.raises(Interrupted):
        one.start_soon(ident)
