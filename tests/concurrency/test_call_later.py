"""Calls of functions after some seconds, on asyncio and trio."""

from __future__ import annotations

import contextvars

import anyio

from tests.limits import PATIENCE
from wix_asgi.concurrency.call_later import call_later
from wix_asgi.concurrency.detached import DetachedTasks

name: contextvars.ContextVar[str] = contextvars.ContextVar("name")


async def test_a_function_is_called_after_its_seconds() -> None:
    """It is called on the event loop, in the context of its caller, and may start a task."""
    called, names = anyio.Event(), list[str]()
    detached = DetachedTasks()

    async def work() -> None:
        names.append(name.get())
        called.set()

    name.set("caller")
    begun_at = anyio.current_time()
    call_later(0.01, lambda: detached.start(work))
    with anyio.fail_after(PATIENCE):
        await called.wait()

    assert 0.009 <= anyio.current_time() - begun_at
    assert ["caller"] == names


async def test_a_call_is_cancelled() -> None:
    """A cancelled call is not made; calls after it are. After a call there is nothing to cancel."""
    called, calls = anyio.Event(), list[str]()
    cancel = call_later(0.01, lambda: calls.append("first"))
    cancel_last = call_later(0.02, called.set)
    cancel()
    with anyio.fail_after(PATIENCE):
        await called.wait()
    cancel_last()

    assert [] == calls
