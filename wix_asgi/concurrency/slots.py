"""Slots: the one way in which the number of operations under way is limited on an event loop."""

from __future__ import annotations

from typing import Self

import anyio

from wix_asgi.concurrency.per_loop import PerLoop

__all__ = ["Slot", "Slots"]


class Slots:
    """A fixed number of slots for each event loop, given to waiting tasks in the order they came.

    May be shared by all threads of a process. The number holds for each event loop by itself,
    since a task can wait for tasks of its own loop only.
    """

    def __init__(self, count: int) -> None:
        """Offer `count` slots on each event loop, all of them free."""
        self._semaphores = PerLoop(lambda: anyio.Semaphore(count))

    @property
    def are_free(self) -> bool:
        """Whether the running event loop has a free slot, which `Slot.take` would take."""
        return self._semaphores.here().value > 0

    def slot(self) -> Slot:
        """Return a slot of the running event loop, not taken yet."""
        return Slot(self._semaphores.here())


class Slot:
    """The right of one task to one operation: taken, released, and taken again.

    It belongs to the event loop on which `Slots.slot` made it. As a context manager it releases
    itself at the end of the block, if it is taken then; entering the block takes nothing.

    Attributes:
        is_taken: Whether this task holds the slot.
        was_missed: Whether a `wait` ended without it, and no later attempt has got it.
    """

    def __init__(self, semaphore: anyio.Semaphore) -> None:
        self._semaphore = semaphore
        self.is_taken = False
        self.was_missed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.release()

    def take(self) -> bool:
        """Take the slot if one is free now; return whether it is taken, by this call or before."""
        if not self.is_taken:
            try:
                self._semaphore.acquire_nowait()
            except anyio.WouldBlock:
                return False
            self.is_taken, self.was_missed = True, False
        return True

    async def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` for the slot, which must not be taken; return whether it is now.

        A slot that is free is taken at once: no task can be waiting for it.
        """
        if self.take():
            return True
        with anyio.move_on_after(seconds):
            await self._semaphore.acquire()
            self.is_taken = True
        self.was_missed = not self.is_taken
        return self.is_taken

    def release(self) -> None:
        """Hand the slot to the task that has waited longest; do nothing if it is not taken."""
        if self.is_taken:
            self.is_taken = False
            self._semaphore.release()
