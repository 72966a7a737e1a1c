"""The one use of a state, decided by storage, and the purge of those that are long over."""

from __future__ import annotations

import contextlib
import hashlib
import math
import secrets
import time
from collections.abc import Callable
from typing import Final

from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import HandshakeRefused, Reason, StorageUnavailable
from wix_asgi.handshake.state import Flow
from wix_asgi.storage import Storage

__all__ = ["Purge", "StateUse"]

# By how much the clocks of hosts may differ: the claim outlasts the state on each of them.
_CLOCKS_APART: Final = 3600.0
# Storage takes about ten seconds for each.
_TRIES: Final = 3
_READER: Final = "reader"
_PURGE_INTERVAL: Final = 60.0
# A purge that is not over by then was lost with its event loop.
_PURGE_LONGEST: Final = 600.0


class StateUse:
    """The one use of a state, which leaves one name in storage."""

    def __init__(
        self, storage: Storage, flow: Flow, detached: DetachedTasks, *, state_ttl: float
    ) -> None:
        """Prepare to use the state of `flow`, as an owner like no other."""
        self._storage = storage
        self._detached = detached
        self._name = f"state:{hashlib.sha256(flow.nonce.encode()).hexdigest()}"
        self._owner = secrets.token_hex(16)
        self._ttl = state_ttl + _CLOCKS_APART

    async def take(self) -> None:
        """Use the state up, for longer than its signature is good.

        Raises:
            HandshakeRefused: It is used up already.
            StorageUnavailable: It is not known; what this used up is given back.
        """
        try:
            is_ours = await self._storage.claim(self._name, self._owner, self._ttl)
        except StorageUnavailable:
            # It may have been carried out all the same. Who has waited for storage waits no more.
            self._detached.start(self._give_back_later)
            raise
        if not is_ours:
            raise HandshakeRefused(Reason.STATE_REUSED)

    async def is_taken(self) -> bool:
        """Whether the state is used up. Asking takes it from nobody, and leaves nothing behind."""
        # For no seconds, and as one owner: no question is in the way of a use, or of another.
        if not await self._storage.claim(self._name, _READER, 0):
            return True
        await self._storage.release(self._name, _READER)
        return False

    async def give_back(self) -> None:
        """Make the state good for another try; one that cannot be freed stays used."""
        with contextlib.suppress(Exception):
            await self._storage.release(self._name, self._owner)

    async def _give_back_later(self) -> None:
        for _ in range(_TRIES):
            with contextlib.suppress(StorageUnavailable):
                await self._storage.release(self._name, self._owner)
                return


class Purge:
    """Has storage forget what ran out: once a minute at most, and one at a time."""

    def __init__(
        self,
        storage: Storage,
        detached: DetachedTasks,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Be due at once; `clock` gives monotonic seconds."""
        self._storage = storage
        self._detached = detached
        self._clock = clock
        self._due_at = -math.inf

    def start(self) -> None:
        """Begin one that nobody waits for, if it is due."""
        if self._clock() < self._due_at:
            return
        self._due_at = self._clock() + _PURGE_LONGEST
        self._detached.start(self._run)

    async def _run(self) -> None:
        try:
            await self._storage.purge()
        finally:
            self._due_at = self._clock() + _PURGE_INTERVAL
