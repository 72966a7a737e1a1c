"""Concurrent calls, and waiting for a condition."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import anyio

__all__ = ["together", "until"]

T = TypeVar("T")

# Seconds: the time that the contract gives to one operation of a storage; the awaited moments come
# after some hundredths of a second.
_UNTIL_SECONDS: Final = 10.0
# Seconds between two looks: short beside the moments, and no load beside the storage.
_POLL_SECONDS: Final = 0.01


async def together(*calls: Callable[[], Awaitable[T]]) -> list[T]:
    """Begin all calls at the same moment, and return their results in the order of the calls."""
    outcomes: dict[int, T] = {}

    async def do(number: int, call: Callable[[], Awaitable[T]]) -> None:
        outcomes[number] = await call()

    async with anyio.create_task_group() as tasks:
        for number, call in enumerate(calls):
            tasks.start_soon(do, number, call)
    return [outcomes[number] for number in range(len(calls))]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the condition holds, for ten seconds at most."""
    with anyio.fail_after(_UNTIL_SECONDS):
        while not await condition():  # noqa: ASYNC110 # the condition may depend on another process
            await anyio.sleep(_POLL_SECONDS)
