"""A valid access token for an installation: cached, refreshed ahead, refreshed once.

A token's life has three windows, scaled to the lifetime it was granted for. *Fresh*: it is served.
*Advisory* (the last 30 %, at most 90 s, jittered): it is served, and one caller starts a refresh in
the background. *Mandatory* (the last 7 %, at most 20 s): callers wait for the refresh.

A refresh is one flight for all callers of a process, detached from them, so that a caller who is
cancelled takes nobody down; and one lease in storage for all processes. Nothing is held while a
user's own request is sent.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import anyio

from wix_asgi.concurrency.detached import DetachedTask, DetachedTasks, Interrupted
from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.errors import WixError, WixUnavailable
from wix_asgi.models import AccessToken
from wix_asgi.tokens.refresh import Refresher, advisory_window, mandatory_window

__all__ = ["TokenCache"]

logger = logging.getLogger("wix_asgi")

_PATIENCE: Final = 10.0
_MAX_CACHED: Final = 10_000
_RETRY_PAUSE: Final = 5.0
# An API that refuses what was renewed for its sake refuses something else than the token.
_USELESS_FOR: Final = 10.0
# The refresh under way may have brought the refused token itself; the next one cannot.
_RENEWALS: Final = 2


@dataclass(slots=True)
class _Entry:
    """A cached token and its windows, as moments of the monotonic clock."""

    token: AccessToken
    advisory_at: float
    mandatory_at: float
    useless_until: float = -math.inf


class _Unwanted(set[str]):
    """Values of tokens that are not the answer of a refresh; secrets, so not in its repr."""

    def __repr__(self) -> str:
        return f"<{len(self)} tokens>"


@dataclass(slots=True)
class _Local:
    """What belongs to one event loop: an Event of another cannot be waited for."""

    cache: OrderedDict[str, _Entry] = field(default_factory=OrderedDict)
    flights: dict[str, tuple[DetachedTask[AccessToken], _Unwanted]] = field(default_factory=dict)


class TokenCache:
    """Serves access tokens by instance id; the cache is bounded and belongs to the event loop."""

    def __init__(
        self,
        refresher: Refresher,
        detached: DetachedTasks,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Serve what `refresher` brings; `clock` gives monotonic seconds, `jitter` 0 to 1."""
        self._refresher = refresher
        self._detached = detached
        self._clock = clock
        self._jitter = jitter
        self._local = PerLoop(_Local)

    async def get(self, instance_id: str) -> AccessToken:
        """Return a token that is good for the next request.

        Raises:
            NotInstalled: The app is not on this site, or Wix refuses its refresh token for good.
            WixUnavailable: The token is used up and Wix is failing.
            WixMisconfigured: The token is used up and Wix refuses the app's credentials.
            StorageUnavailable: The token is used up and the storage is failing.
            UnsealError: The stored tokens cannot be read.
        """
        local = self._local.here()
        entry = local.cache.get(instance_id)
        if entry is None:
            return await self._wait(local, instance_id)
        local.cache.move_to_end(instance_id)
        now = self._clock()
        if now < entry.advisory_at:
            return entry.token
        if now < entry.mandatory_at:
            self._join(local, instance_id)
            return entry.token
        return await self._get_late(local, instance_id, entry)

    async def renew(self, instance_id: str, refused: AccessToken) -> AccessToken:
        """Return a token other than `refused`, which Wix answered with a 401.

        Should Wix grant that very token again, it is returned after two refreshes at most; and so
        is, without one, a token that was renewed to no use less than ten seconds ago.

        Raises:
            Exception: What `get` raises.
        """
        local = self._local.here()
        entry = local.cache.get(instance_id)
        if entry is not None and entry.token.value == refused.value:
            if self._clock() < entry.useless_until:
                return refused
            del local.cache[instance_id]
        token = await self.get(instance_id) if instance_id in local.cache else refused
        for _ in range(_RENEWALS):
            if token.value != refused.value:
                break
            token = await self._wait(local, instance_id, refused)
        return token

    def note_useless(self, instance_id: str, token: AccessToken) -> None:
        """Note that Wix answers with a 401 to a token that was renewed for one."""
        entry = self._local.here().cache.get(instance_id)
        if entry is not None and entry.token.value == token.value:
            entry.useless_until = self._clock() + _USELESS_FOR

    def adopt(self, instance_id: str, token: AccessToken) -> None:
        """Serve `token` from now on: a new installation brought it."""
        local = self._local.here()
        # A refresh under way is of the installation before.
        local.flights.pop(instance_id, None)
        self._keep(local, instance_id, token)

    async def _get_late(self, local: _Local, instance_id: str, entry: _Entry) -> AccessToken:
        left = entry.token.expires_at - self._clock()
        if left <= 0:
            return await self._wait(local, instance_id)
        try:
            # Not so long that the token in hand dies meanwhile.
            return await self._wait(local, instance_id, patience=min(_PATIENCE, left / 2))
        except WixError:
            if self._clock() < entry.token.expires_at:
                return entry.token
        return await self._wait(local, instance_id)

    async def _wait(
        self,
        local: _Local,
        instance_id: str,
        refused: AccessToken | None = None,
        *,
        patience: float | None = None,
    ) -> AccessToken:
        flight = self._join(local, instance_id, refused)
        try:
            with anyio.move_on_after(_PATIENCE if patience is None else patience):
                return await flight.result()
        except Interrupted:
            raise WixUnavailable("The process is shutting down.") from None
        raise WixUnavailable("A refresh takes too long.")

    def _join(
        self, local: _Local, instance_id: str, refused: AccessToken | None = None
    ) -> DetachedTask[AccessToken]:
        """Join the refresh that is under way, or start it; `refused` is not its answer."""
        if instance_id not in local.flights:
            unwanted = _Unwanted()
            if entry := local.cache.get(instance_id):
                unwanted.add(entry.token.value)
            flight = self._detached.start(lambda: self._fly(local, instance_id, unwanted))
            local.flights[instance_id] = (flight, unwanted)
        flight, unwanted = local.flights[instance_id]
        if refused is not None:
            unwanted.add(refused.value)
        return flight

    async def _fly(self, local: _Local, instance_id: str, unwanted: _Unwanted) -> AccessToken:
        """Refresh, and keep what came of it unless a new installation came in between."""

        def land() -> bool:
            if local.flights.get(instance_id, (None, None))[1] is not unwanted:
                return False
            del local.flights[instance_id]
            return True

        try:
            token = await self._refresher.refresh(instance_id, unwanted)
        except BaseException as exc:
            if land():
                self._put_off(local, instance_id, exc)
            raise
        if land():
            self._keep(local, instance_id, token)
        return token

    def _keep(self, local: _Local, instance_id: str, token: AccessToken) -> None:
        # Jittered, so that installations that began together do not go on together.
        advisory = advisory_window(token.lifetime) * (1 + (self._jitter() - 0.5) / 3)
        mandatory = mandatory_window(token.lifetime)
        local.cache[instance_id] = _Entry(
            token, token.expires_at - advisory, token.expires_at - mandatory
        )
        local.cache.move_to_end(instance_id)
        if len(local.cache) > _MAX_CACHED:
            local.cache.popitem(last=False)

    def _put_off(self, local: _Local, instance_id: str, exc: BaseException) -> None:
        """Serve a token that is still good for a while before the next try."""
        entry = local.cache.get(instance_id)
        if entry is None or entry.token.expires_at <= self._clock():
            return
        logger.warning("a refresh failed, the current token is served: %s", type(exc).__name__)
        later = self._clock() + _RETRY_PAUSE * (0.5 + self._jitter())
        entry.advisory_at = min(later, entry.token.expires_at)
        entry.mandatory_at = max(entry.mandatory_at, entry.advisory_at)
