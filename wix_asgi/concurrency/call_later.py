"""Calling a function later on the running event loop, on asyncio and trio."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable

import anyio

__all__ = ["call_later"]


def call_later(seconds: float, function: Callable[[], object]) -> Callable[[], object]:
    """Have the running event loop call `function` after `seconds`; return what cancels the call.

    It has the context variables of its caller. On asyncio it is no task: a timer that is cancelled
    before its moment costs a twentieth of one.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _call_later_on_trio(seconds, function)
    return loop.call_later(seconds, function).cancel


def _call_later_on_trio(seconds: float, function: Callable[[], object]) -> Callable[[], object]:
    import trio  # noqa: PLC0415 - installed where it is the running loop, and only there

    scope = anyio.CancelScope()

    async def wait() -> None:
        with scope:
            await anyio.sleep(seconds)
            function()

    trio.lowlevel.spawn_system_task(wait, context=contextvars.copy_context())
    return scope.cancel
