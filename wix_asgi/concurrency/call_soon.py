"""Calling into an event loop from any thread, on asyncio and trio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["call_soon"]


def call_soon(loop: Any, function: Callable[[], object]) -> bool:
    """Have an event loop call `function`; return False if the loop is over.

    `loop` is the native token of the loop (`anyio.lowlevel.current_token`). It may be called from
    any thread and in the middle of any code, a garbage collection included.
    """
    is_asyncio = isinstance(loop, asyncio.AbstractEventLoop)
    # Else trio's token of a run.
    schedule = loop.call_soon_threadsafe if is_asyncio else loop.run_sync_soon
    try:
        schedule(function)
    except RuntimeError:
        return False
    return True
