"""Admission of callbacks to the storage: bounded before they wait, since anybody can send them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio

from wix_asgi.concurrency.rate import Rate
from wix_asgi.concurrency.slots import Slots
from wix_asgi.errors import StorageUnavailable
from wix_asgi.handshake.policy import CallbackPolicy

__all__ = ["Admission"]


class Admission:
    """Bounds the claims and the questions of callbacks, at one time and in a second.

    Refreshes, and installs whose code is spent, do not come through here: the storage has a
    connection left for them.
    """

    def __init__(
        self,
        policy: CallbackPolicy,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Admit within the bounds of `policy`; `clock` gives monotonic seconds."""
        self._policy = policy
        self._sleep = sleep
        self._claims = Slots(policy.max_claims)
        self._questions = Slots(policy.max_questions)
        self._claim_rate = Rate(policy.claims_per_second, policy.claims_burst, clock)
        self._question_rate = Rate(policy.questions_per_second, policy.questions_burst, clock)
        self._denial_rate = Rate(policy.denials_per_second, policy.denials_burst, clock)

    @asynccontextmanager
    async def claim_slot(self) -> AsyncIterator[None]:
        """Queue for the claim of a callback that asks Wix.

        The wait for the rate comes first, in the order of arrival: its callers have been let in
        fairly (`_wix_slots`), and are served as fairly.

        Raises:
            StorageUnavailable: The policy's time for the queue is over.
        """
        delay = self._claim_rate.reserve(self._policy.claim_wait)
        if delay is None:
            raise StorageUnavailable("Too many installs at once.")
        if delay:
            await self._sleep(delay)
        with self._claims.slot() as slot:
            if not slot.take() and not await slot.wait(self._policy.claim_wait - delay):
                raise StorageUnavailable("Too many installs wait for the storage.")
            yield

    @property
    def are_denials_spent(self) -> bool:
        """Whether a callback that is refused at sight leaves no row now: the rate is used up."""
        return self._denial_rate.is_spent

    @contextmanager
    def denial(self) -> Iterator[bool]:
        """Enter with whether a refused callback may leave a row; it never waits for that."""
        with self._claims.slot() as slot:
            yield slot.take() and self._denial_rate.reserve() is not None

    @contextmanager
    def question(self, *, by_stranger: bool = False) -> Iterator[bool]:
        """Enter with whether the storage may be asked about a used state; nothing waits for it."""
        with self._questions.slot() as slot:
            may_ask = slot.take()
            if by_stranger:
                may_ask = may_ask and self._question_rate.reserve() is not None
            yield may_ask
