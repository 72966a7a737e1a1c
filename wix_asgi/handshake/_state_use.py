"""The one use of a state, which storage decides among all loads, workers and hosts."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from typing import Final

from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import HandshakeRefused, Reason, StorageUnavailable
from wix_asgi.handshake.state import Flow
from wix_asgi.storage import Storage

__all__ = ["StateUse"]

_MAX_CLOCK_DIFFERENCE: Final = 3600.0
"""Seconds by which the clocks of two hosts may differ.

Each host judges by its own clock whether a state has expired, so the use of a state is kept for
this much longer than the state: no host takes the state again once its use is forgotten. Clocks
that are synchronized differ by less than a second; an hour is a margin for a host without that.
"""

_GIVE_BACK_TRIES: Final = 3
"""Tries to give a state back behind the answer, when storage did not say whether it was used up.

The backends give up after about ten seconds, so that an outage of half a minute is outlasted. After
that the state stays used up, and the site owner begins anew.
"""

_READER: Final = "reader"


class StateUse:
    """The one use of a state, which leaves one name in storage."""

    def __init__(
        self, storage: Storage, flow: Flow, detached: DetachedTasks, *, state_ttl: float
    ) -> None:
        """Prepare to use the state of `flow`, which is good for `state_ttl` seconds."""
        self._storage = storage
        self._detached = detached
        self._name = f"state:{hashlib.sha256(flow.nonce.encode()).hexdigest()}"
        # An owner like no other: each load of the callback is one.
        self._owner = secrets.token_hex(16)
        self._ttl = state_ttl + _MAX_CLOCK_DIFFERENCE

    async def take(self) -> None:
        """Use the state up, for longer than its signature is good.

        Raises:
            HandshakeRefused: The state is used up already.
            StorageUnavailable: Storage did not say. If the state was used up here, it is given
                back.
        """
        try:
            is_ours = await self._storage.claim(self._name, self._owner, self._ttl)
        except StorageUnavailable:
            # The claim may have been carried out all the same. The browser, which has waited for
            # storage already, does not wait for the state to be given back.
            self._detached.start(self._give_back_later)
            raise
        if not is_ours:
            raise HandshakeRefused(Reason.STATE_REUSED)

    async def is_taken(self) -> bool:
        """Whether the state is used up. The question uses nothing up, and leaves nothing behind.

        Raises:
            StorageUnavailable: Storage did not say.
        """
        # A claim for no seconds, with one owner for all questions: none is in the way of a use, or
        # of another question.
        if not await self._storage.claim(self._name, _READER, 0):
            return True
        await self._storage.release(self._name, _READER)
        return False

    async def give_back(self) -> None:
        """Make the state good for another load; where storage fails, it stays used up."""
        with contextlib.suppress(Exception):
            await self._storage.release(self._name, self._owner)

    async def _give_back_later(self) -> None:
        for _ in range(_GIVE_BACK_TRIES):
            with contextlib.suppress(StorageUnavailable):
                await self._storage.release(self._name, self._owner)
                return
