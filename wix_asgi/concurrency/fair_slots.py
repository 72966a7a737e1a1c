"""Fair slots: the operations of a whole process, whose turns go round over the waiting parties."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Hashable

import anyio
from anyio.lowlevel import current_token

from wix_asgi.concurrency.call_soon import call_soon

__all__ = ["FairSlots"]


class FairSlots:
    """A fixed number of slots for all event loops of a process, and a short queue for them.

    A free slot goes to the parties in turn, and within a party to the task that has waited longest:
    a party with many tasks in the queue delays another by one turn, and a party that is alone is
    served first in, first out. Safe to share among threads, on asyncio and trio.
    """

    def __init__(self, count: int, *, max_queue: int, max_wait: float) -> None:
        """Offer `count` slots; at most `max_queue` tasks wait, each for `max_wait` seconds."""
        self._max_queue = max_queue
        self._max_wait = max_wait
        # Held for steps in memory only, so that it blocks no event loop. Reentrant, since a task
        # that is collected as garbage during a step releases its slot on the same thread.
        self._lock = threading.RLock()
        self._free = count
        self._queue = _Queue()

    async def acquire(self, party: Hashable) -> bool:
        """Wait for a slot; False where the queue has no room, or the seconds are over.

        Where the queue is full, the party with the most tasks in it gives up its newest.
        """
        turn = _Turn(party)
        with self._lock:
            # While a slot is free, the queue is empty.
            if self._free:
                self._free -= 1
                return True
            self._queue.add(turn)
            if len(self._queue) > self._max_queue:
                self._queue.pop_newest_of_largest().end()
        try:
            with anyio.move_on_after(self._max_wait):
                await turn.ended.wait()
        except BaseException:
            if self._leave_queue(turn):
                self.release()
            raise
        return self._leave_queue(turn)

    def release(self) -> None:
        """Give back a slot, which the next turn has at once."""
        with self._lock:
            while self._queue:
                if self._queue.pop_next().give_slot():
                    return
            self._free += 1

    def _leave_queue(self, turn: _Turn) -> bool:
        """Return whether the turn was given a slot; it is given none from here on."""
        with self._lock:
            self._queue.discard(turn)
            return turn.has_slot


class _Turn:
    """The wait of one task; it ends with a slot or without."""

    def __init__(self, party: Hashable) -> None:
        """Belong to the running event loop."""
        self.party = party
        self.number = 0
        self.has_slot = False
        self.ended = anyio.Event()
        self._loop = current_token().native_token

    def give_slot(self) -> bool:
        """End with a slot, from any thread; False where the event loop of the task is closed."""
        self.has_slot = self.end()
        return self.has_slot

    def end(self) -> bool:
        """End, from any thread; False where the event loop of the task is closed."""
        return call_soon(self._loop, self.ended.set)


class _Queue:
    """The turns of each party; the parties in the order in which they are next."""

    def __init__(self) -> None:
        self._parties: OrderedDict[Hashable, deque[_Turn]] = OrderedDict()
        self._length = 0
        self._added = 0

    def __len__(self) -> int:
        return self._length

    def add(self, turn: _Turn) -> None:
        """Put the turn behind those of its party, and a new party behind all parties."""
        self._added += 1
        turn.number = self._added
        self._parties.setdefault(turn.party, deque()).append(turn)
        self._length += 1

    def pop_next(self) -> _Turn:
        """Remove the oldest turn of the next party, which comes last from here on."""
        party, turns = self._parties.popitem(last=False)
        turn = turns.popleft()
        if turns:
            self._parties[party] = turns
        self._length -= 1
        return turn

    def pop_newest_of_largest(self) -> _Turn:
        """Remove the newest turn of the party with the most; at a tie, the newest turn of all."""
        turns = max(self._parties.values(), key=lambda turns: (len(turns), turns[-1].number))
        turn = turns[-1]
        self.discard(turn)
        return turn

    def discard(self, turn: _Turn) -> None:
        """Remove the turn, if it is still here."""
        turns = self._parties.get(turn.party, deque[_Turn]())
        if turn in turns:
            turns.remove(turn)
            self._length -= 1
            if not turns:
                del self._parties[turn.party]
