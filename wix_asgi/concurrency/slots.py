"""How many calls may be under way: so many places, for which the others wait in turn."""

from __future__ import annotations

from typing import Self

import anyio

from wix_asgi.concurrency.per_loop import PerLoop

__all__ = ["Slot", "Slots"]


class Slots:
    """So many places on each event loop, first come first served."""

    def __init__(self, count: int) -> None:
        """Have all of them free."""
        self._free = PerLoop(lambda: anyio.Semaphore(count))

    def place(self) -> Slot:
        """Return one that is not taken yet."""
        return Slot(self._free.here())


class Slot:
    """One of the places, for one task: taken, left, and taken again; left at the end of a block.

    Attributes:
        is_taken: Whether it is ours.
        was_missed: Whether it was waited for in vain, the last time.
    """

    def __init__(self, free: anyio.Semaphore) -> None:
        self._free = free
        self.is_taken = False
        self.was_missed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.leave()

    def take(self) -> bool:
        """Take it if one is free; return whether it is ours, from now or from before."""
        if not self.is_taken:
            try:
                self._free.acquire_nowait()
            except anyio.WouldBlock:
                return False
            self.is_taken, self.was_missed = True, False
        return True

    async def wait(self, seconds: float) -> None:
        """Take it as soon as one is free, if that is within so many seconds."""
        with anyio.move_on_after(seconds):
            await self._free.acquire()
            self.is_taken = True
        self.was_missed = not self.is_taken

    def leave(self) -> None:
        """Give it to whoever waits for it longest."""
        if self.is_taken:
            self.is_taken = False
            self._free.release()
