"""The generations of installations: one look at a row serves all sessions of its site a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from wix_asgi.concurrency.detached import DetachedTask, DetachedTasks, Interrupted
from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.errors import StorageUnavailable
from wix_asgi.identity.session_policy import SessionPolicy

__all__ = ["GenerationOf", "Generations"]

GenerationOf = Callable[[str], Awaitable[str | None]]
"""Reads the generation of an installation: a text that a reinstall changes; None without a row."""


@dataclass(frozen=True, slots=True)
class _Look:
    """A generation, and the monotonic moment at which the look for it began."""

    generation: str | None
    at: float


class _Read:
    """A look under way."""

    __slots__ = ("task",)

    task: DetachedTask[str | None]


@dataclass(slots=True)
class _LoopLooks:
    """The looks of one event loop: no other loop can wait for its tasks."""

    known: OrderedDict[str, _Look] = field(default_factory=OrderedDict)
    running: dict[str, _Read] = field(default_factory=dict)


class Generations:
    """Tells generations by looks of a bounded age; the memory is bounded, and the event loop's."""

    def __init__(
        self,
        generation_of: GenerationOf,
        detached: DetachedTasks,
        policy: SessionPolicy,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look by `generation_of` in `detached`; `clock` gives monotonic seconds."""
        self._generation_of = generation_of
        self._detached = detached
        self._policy = policy
        self._clock = clock
        self._loops = PerLoop(_LoopLooks)

    async def is_current(self, instance_id: str, generation: str) -> bool:
        """Return whether the installation is there, in this generation.

        Raises:
            StorageUnavailable: The storage did not say.
        """
        if await self._look(instance_id, self._policy.look_age) == generation:
            return True
        # Another process may have seen the site reinstalled since that look.
        return await self.now(instance_id) == generation

    async def now(self, instance_id: str) -> str | None:
        """Return the generation of the installation as it stands; None where there is none.

        Raises:
            StorageUnavailable: The storage did not say.
        """
        return await self._look(instance_id, self._policy.fresh_look_age)

    def forget(self, instance_id: str) -> None:
        """Look anew the next time: this process has written the row of the installation."""
        state = self._loops.here()
        state.known.pop(instance_id, None)
        state.running.pop(instance_id, None)

    async def _look(self, instance_id: str, max_age: float) -> str | None:
        state = self._loops.here()
        look = state.known.get(instance_id)
        if look is not None and self._clock() - look.at <= max_age:
            return look.generation
        read = state.running.get(instance_id)
        if read is None:
            read = state.running[instance_id] = _Read()
            # Detached, since a read that is cut off may cost the storage its connection.
            read.task = self._detached.start(partial(self._run, state, instance_id, read))
        try:
            return await read.task.result()
        except Interrupted:
            raise StorageUnavailable("The process is shutting down.") from None

    async def _run(self, state: _LoopLooks, instance_id: str, read: _Read) -> str | None:
        began = self._clock()
        try:
            generation = await self._generation_of(instance_id)
            # Unless the row was written meanwhile, by this process.
            if state.running.get(instance_id) is read:
                self._keep(state, instance_id, _Look(generation, began))
        finally:
            if state.running.get(instance_id) is read:
                del state.running[instance_id]
        return generation

    def _keep(self, state: _LoopLooks, instance_id: str, look: _Look) -> None:
        state.known[instance_id] = look
        state.known.move_to_end(instance_id)
        if len(state.known) > self._policy.max_looks:
            state.known.popitem(last=False)
