"""Doing things at the same moment, and waiting for what comes about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

__all__ = ["together", "until"]

T = TypeVar("T")


async def together(*calls: Callable[[], Awaitable[T]]) -> list[T]:
    """Begin all calls at the same moment, and return what they return, in their order."""
    outcomes: dict[int, T] = {}

    async def do(number: int, call: Callable[[], Awaitable[T]]) -> None:
        outcomes[number] = await call()

    async with anyio.create_task_group() as tasks:
        for number, call in enumerate(calls):
            tasks.start_soon(do, number, call)
    return [outcomes[number] for number in range(len(calls))]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds, for ten seconds at most."""
    with anyio.fail_after(10):
        while not await condition():  # noqa: ASYNC110 # another process may be awaited
            await anyio.sleep(0.01)
