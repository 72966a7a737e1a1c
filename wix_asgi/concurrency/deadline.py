"""A block that is cancelled at a moment, which may be moved while the block runs."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import anyio

__all__ = ["Deadline"]


class Deadline:
    """Cancels the block of an `async with` when its time is over, and ends the cancellation there.

    On asyncio this is `asyncio.timeout`, which lets a task go no further though the event that it
    was waiting for has come: a process that was frozen finds both when it wakes. A scope of anyio,
    which is left for trio, cancels that task at its next `await`.

    Attributes:
        has_cancelled: Whether the block was cancelled.
    """

    def __init__(self, seconds: float) -> None:
        """End in `seconds`; it is entered at once, and only once."""
        self.has_cancelled = False
        self._is_over = False
        self._bound = _bound(seconds)

    async def __aenter__(self) -> Self:
        await self._bound.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._is_over = True
        self.has_cancelled = await self._bound.__aexit__(exc_type, exc, traceback)
        return self.has_cancelled

    def move(self, seconds: float) -> None:
        """End in `seconds` from now; from any task of the same event loop, at any time."""
        if not self._is_over:
            self._bound.move(seconds)


class _AsyncioBound:
    def __init__(self, seconds: float) -> None:
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        try:
            await self._timeout.__aexit__(exc_type, exc, traceback)
        except TimeoutError:
            return True
        return False

    def move(self, seconds: float) -> None:
        if not self._timeout.expired():
            self._timeout.reschedule(asyncio.get_running_loop().time() + seconds)


class _TrioBound:
    def __init__(self, seconds: float) -> None:
        self._scope = anyio.CancelScope(deadline=anyio.current_time() + seconds)

    async def __aenter__(self) -> None:
        self._scope.__enter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        # Its own answer is True for a block that ended by itself, too.
        self._scope.__exit__(exc_type, exc, traceback)
        return self._scope.cancelled_caught

    def move(self, seconds: float) -> None:
        self._scope.deadline = anyio.current_time() + seconds


def _bound(seconds: float) -> _AsyncioBound | _TrioBound:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _TrioBound(seconds)
    return _AsyncioBound(seconds)
