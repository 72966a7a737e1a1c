"""The one use of a state, which storage decides among all loads, workers and hosts."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import StorageUnavailable
from wix_asgi.handshake._outcome import Outcome, Refused, parse_outcome
from wix_asgi.handshake.state import MAX_CLOCK_DIFFERENCE, Flow
from wix_asgi.storage import ClaimReader, Storage

__all__ = ["AlreadyUsed", "StateUse", "StateUses", "Usage"]

_MARGIN: Final = 60.0
"""Seconds by which a claim outlives even that: the callback that judged the state by its clock may
wait for the storage (10 s) and be frozen before it claims."""

_GIVE_BACK_TRIES: Final = 3
"""Tries to give a state back behind the answer, when storage did not say whether it was used up.

The backends give up after about ten seconds, so that an outage of half a minute is outlasted. After
that the state stays used up, and the site owner begins anew.
"""


class AlreadyUsed(Exception):
    """Another load has used the state up."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The word of the storage about a state.

    Attributes:
        is_used: Whether a load has used it up, or is about to.
        outcome: The outcome of that load; None where it has not ended, or ended without a word.
    """

    is_used: bool
    outcome: Outcome | None = None


class StateUses:
    """Makes and reads the uses of states; shared by all callbacks of an app.

    Attributes:
        can_be_read: Whether the storage can tell of a used state (`ClaimReader`).
    """

    def __init__(self, storage: Storage, detached: DetachedTasks, *, state_ttl: float) -> None:
        """Keep each use in `storage` until no host takes its state for good any more."""
        self._storage = storage
        self._detached = detached
        self._ttl = state_ttl + MAX_CLOCK_DIFFERENCE + _MARGIN
        self._reader = storage if isinstance(storage, ClaimReader) else None
        self.can_be_read = self._reader is not None

    def of(self, flow: Flow) -> StateUse:
        """Return the use of this flow's state by one load, not made yet."""
        return StateUse(self._storage, flow, self._detached, ttl=self._ttl)

    async def usage(self, flow: Flow) -> Usage:
        """Return the word of the storage about this flow's state; asking writes nothing.

        Raises:
            StorageUnavailable: Storage did not say.
        """
        if self._reader is None:
            return Usage(is_used=False)
        name = name_of(flow)
        owner = await self._reader.claim_owner(name)
        if owner is None:
            return Usage(is_used=False)
        outcome = parse_outcome(owner)
        if outcome is None:
            outcome = parse_outcome(await self._reader.claim_owner(_outcome_name(name)))
        return Usage(is_used=True, outcome=outcome)


class StateUse:
    """The one use of a state by one load: a name in storage, and the name of its outcome.

    Attributes:
        owes_outcome: Whether this load has used the state up, and has yet to tell its outcome.
    """

    def __init__(
        self, storage: Storage, flow: Flow, detached: DetachedTasks, *, ttl: float
    ) -> None:
        """Prepare to use the state of `flow`, which is remembered for `ttl` seconds."""
        self._storage = storage
        self._detached = detached
        self._name = name_of(flow)
        # An owner like no other: each load of the callback is one.
        self._owner = secrets.token_hex(16)
        self._ttl = ttl
        self.owes_outcome = False

    async def take(self, *, ending: Refused | None = None) -> None:
        """Use the state up, for longer than its signature is good; `ending` is its outcome already.

        Raises:
            AlreadyUsed: The state is used up by another load.
            StorageUnavailable: Storage did not say. If the state was used up here, it is given
                back.
        """
        if ending is not None:
            # The owner of the one name tells the outcome, without a second row.
            self._owner = f"{ending}:{self._owner}"
        try:
            is_ours = await self._storage.claim(self._name, self._owner, self._ttl)
        except StorageUnavailable:
            # The claim may have been carried out all the same. The browser, which has waited for
            # storage already, does not wait for the state to be given back.
            self._detached.start(self._give_back_later)
            raise
        if not is_ours:
            raise AlreadyUsed
        self.owes_outcome = ending is None and isinstance(self._storage, ClaimReader)

    async def tell(self, outcome: Outcome) -> None:
        """Leave the outcome for other processes; where storage fails, they show no outcome."""
        with contextlib.suppress(Exception):
            await self._storage.claim(_outcome_name(self._name), str(outcome), self._ttl)

    async def give_back(self) -> None:
        """Make the state good for another load; where storage fails, it stays used up."""
        with contextlib.suppress(Exception):
            await self._storage.release(self._name, self._owner)

    async def _give_back_later(self) -> None:
        for _ in range(_GIVE_BACK_TRIES):
            with contextlib.suppress(StorageUnavailable):
                await self._storage.release(self._name, self._owner)
                return


def name_of(flow: Flow) -> str:
    """Return the name of this flow's state in the storage, which tells nobody the state."""
    return f"state:{hashlib.sha256(flow.nonce.encode()).hexdigest()}"


def _outcome_name(name: str) -> str:
    return f"{name}:outcome"
