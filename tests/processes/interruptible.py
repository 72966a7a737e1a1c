"""Workers that an interrupt ends, whenever it comes and wherever they were started."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

__all__ = ["run"]

_PAUSE: Final = 0.1
"""Seconds between two looks at signals. `asyncio.run` notes an interrupt between two lines of
Python: it sleeps on if the interrupt comes just before the loop begins to wait (one in 10,000)."""


def _look_at_signals() -> None:
    asyncio.get_running_loop().call_later(_PAUSE, _look_at_signals)


def run(work: Callable[..., Awaitable[None]], *args: object) -> None:
    """Run `work` on asyncio until it ends, or until an interrupt cancels it."""

    async def main() -> None:
        _look_at_signals()
        await work(*args)

    # Whatever runs the tests in the background may have left it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    anyio.run(main)
