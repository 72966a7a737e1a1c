"""The length of a lease: it depends on the harm that a second sending of its refresh token does."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from wix_asgi.errors import StorageUnavailable
from wix_asgi.installations.claims import rotation_mark
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.storage import ClaimReader, Storage
from wix_asgi.tokens.policy import RefreshPolicy

__all__ = ["LeaseTerms", "RefreshTerms"]

_OWNER: Final = "rotates"
"""One owner's name for all processes, so that each of them can prolong the mark."""


class LeaseTerms:
    """The length of the leases that this process takes for its app.

    Where refresh tokens stay the same, a second sending harms nobody, and a lease is short: it
    grows only with the delays that this process sees. Where Wix was seen to rotate them, a second
    sending may end every token of the site: a lease outlives the longest call. The sight of a
    rotated token is kept in storage, so that a process that has just started knows of it.

    Attributes:
        rotates: Whether this process or another one has seen Wix rotate a refresh token.
    """

    def __init__(
        self,
        storage: Storage,
        app_id: str,
        *,
        policy: RefreshPolicy,
        longest_call: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask `storage` for earlier sights; `longest_call` is the time-out of a call in seconds.

        `clock` gives monotonic seconds.
        """
        self._storage = storage
        self._mark = rotation_mark(app_id)
        self._policy = policy
        self._longest_call = longest_call
        self._clock = clock
        self._recalled_at = self._noted_at = -math.inf
        self._delay = 0.0
        self._delayed_at = -math.inf
        self.rotates = False

    @property
    def ttl(self) -> float:
        """How many seconds a lease is taken for now."""
        return self._longest if self.rotates else self.short_ttl

    @property
    def short_ttl(self) -> float:
        """How many seconds a lease is taken for where a second request harms nobody."""
        grown = self._policy.lease_ttl + self._policy.lease_growth * self._recent_delay()
        return min(grown, self._longest)

    @property
    def seconds_to_send(self) -> float:
        """How many seconds a lease must have left when the refresh token is sent."""
        if self.rotates:
            return self._longest_call + self._policy.send_margin
        return self.short_seconds_to_send

    @property
    def short_seconds_to_send(self) -> float:
        """The same where a second request harms nobody."""
        # Half of a lease whose taking took longer than any before it.
        return self.short_ttl / 2

    def note_delay(self, seconds: float) -> None:
        """Note by how much a claim was answered later than at its moment."""
        self._delay = max(seconds, self._recent_delay())
        self._delayed_at = self._clock()

    async def recall(self) -> None:
        """Ask the storage now and then whether another process has seen a rotated refresh token.

        Raises:
            StorageUnavailable: The storage cannot be reached.
        """
        is_known = self._clock() - self._recalled_at < self._policy.rotation_recall_pause
        if self.rotates or is_known or not isinstance(self._storage, ClaimReader):
            return
        recalled_at = self._clock()
        if await self._storage.claim_owner(self._mark) == _OWNER:
            self.rotates = True
        self._recalled_at = recalled_at

    async def note_rotation(self) -> None:
        """Note, for all processes and for those to come, that Wix has rotated a refresh token."""
        self.rotates = True
        if self._clock() - self._noted_at < self._policy.rotation_note_pause:
            return
        self._noted_at = self._clock()
        try:
            await self._storage.claim(self._mark, _OWNER, self._policy.rotation_memory)
        except StorageUnavailable:
            self._noted_at = -math.inf

    @property
    def _longest(self) -> float:
        return self._longest_call + self._policy.lease_margin

    def _recent_delay(self) -> float:
        """Return the longest delay, halved with time."""
        age = self._clock() - self._delayed_at
        return float(self._delay * 0.5 ** (age / self._policy.delay_half_life))


class RefreshTerms:
    """The length of the lease of one refresh, which may be one by client credentials.

    Each access token of client credentials is good beside the others, and none ends a refresh
    token: their lease is short in every app.
    """

    def __init__(self, terms: LeaseTerms) -> None:
        """Begin with the `terms` of the app's refresh tokens."""
        self._terms = terms
        self._sends_refresh_token = True

    def set_for(self, stored: StoredInstallation | None) -> None:
        """Take the terms of this installation; None is one of which nothing is stored."""
        self._sends_refresh_token = stored is not None and not stored.is_without_refresh_token
        if stored is not None and self._sends_refresh_token:
            self._terms.rotates |= stored.has_rotated_token

    async def recall(self) -> None:
        """Ask the storage for a sight of a rotated refresh token, where one is to be sent.

        Raises:
            StorageUnavailable: The storage cannot be reached.
        """
        if self._sends_refresh_token:
            await self._terms.recall()

    @property
    def ttl(self) -> float:
        """How many seconds the lease is taken for now."""
        return self._terms.ttl if self._sends_refresh_token else self._terms.short_ttl

    @property
    def seconds_to_send(self) -> float:
        """How many seconds the lease must have left when Wix is asked."""
        if self._sends_refresh_token:
            return self._terms.seconds_to_send
        return self._terms.short_seconds_to_send

    def note_delay(self, seconds: float) -> None:
        """Note by how much a claim was answered later than at its moment."""
        self._terms.note_delay(seconds)
