"""The refresh itself, done by the holder of an installation's lease."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Container
from typing import Literal

from wix_asgi.concurrency.slots import Slot
from wix_asgi.errors import (
    GrantRefused,
    NotInstalled,
    StorageUnavailable,
    WixError,
    WixMisconfigured,
    WixUnavailable,
)
from wix_asgi.installations.repository import (
    InstallationRepository,
    RefreshFailure,
    StoredInstallation,
)
from wix_asgi.leases.lease import Lease
from wix_asgi.models import AccessToken, Grant
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.tokens._lease_terms import LeaseTerms
from wix_asgi.tokens._look import Step, token_without_refresh
from wix_asgi.tokens._storage_watch import Progress, Stage
from wix_asgi.tokens.policy import RefreshPolicy

__all__ = ["Leader"]

logger = logging.getLogger("wix_asgi")


class _LeaseLost(Exception):
    """The lease ran out before the refresh token was sent."""


class Leader:
    """Has Wix grant a new token, and stores it or the verdict for all processes.

    Attributes:
        usual_seconds: How long a refresh at Wix usually takes.
    """

    def __init__(
        self,
        installations: InstallationRepository,
        oauth: OAuthClient,
        terms: LeaseTerms,
        *,
        policy: RefreshPolicy,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        """Refresh through `oauth`, with leases of these `terms`, which learn of rotated tokens.

        `clock` gives monotonic seconds, `jitter` 0 to 1.
        """
        self._installations = installations
        self._oauth = oauth
        self._terms = terms
        self._policy = policy
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep
        self.usual_seconds = 0.0

    async def lead(
        self,
        instance_id: str,
        unwanted: Container[str],
        lease: Lease,
        slot: Slot,
        progress: Progress,
    ) -> AccessToken | Literal[Step.LOOK_AGAIN]:
        """Refresh with `lease` held and `slot` taken; the slot is released once Wix has answered.

        Raises:
            NotInstalled: There is no such installation, or Wix refuses its refresh token.
            WixUnavailable: Wix is failing, and the token in hand is dead.
            WixMisconfigured: Wix refuses the app's credentials, and the token in hand is dead.
        """
        # Read anew under the lease: its holder before us may have refreshed.
        stored = await self._installations.require(instance_id)
        if token := token_without_refresh(stored, unwanted, self._clock(), self._policy):
            return token
        was_alive = stored.seconds_left(self._clock()) > 0
        try:
            progress.enter(Stage.WIX)
            with slot:
                grant = await self._request_grant(stored, lease)
        except _LeaseLost:
            return Step.LOOK_AGAIN
        except (GrantRefused, WixMisconfigured, WixUnavailable) as exc:
            if was_alive and (pause := self._last_pause(stored, exc)) is not None:
                # A failure before the token's end sends no caller away after it.
                await self._sleep(pause)
                return Step.LOOK_AGAIN
            progress.enter(Stage.STORAGE)
            if not await self._note_failure(stored, exc):
                return Step.LOOK_AGAIN
            if token := stored.live_token(self._clock(), unwanted):
                return token
            if isinstance(exc, GrantRefused):
                raise NotInstalled from exc
            raise
        progress.enter(Stage.STORAGE)
        return await self._save(stored, grant)

    async def _request_grant(self, stored: StoredInstallation, lease: Lease) -> Grant:
        """Have Wix grant a new token, and learn how long that usually takes."""

        async def hold_lease() -> None:
            # A process that slept through its lease: another one may have sent this refresh token.
            if not await lease.cover(self._terms.seconds_to_send):
                raise _LeaseLost

        began = self._clock()
        grant = await self._oauth.refresh(stored.refresh_token, before_sending=hold_lease)
        took = min(self._clock() - began, self._policy.usual_refresh_max)
        self.usual_seconds += (took - self.usual_seconds) / self._policy.usual_refresh_memory
        return grant

    async def _save(
        self, stored: StoredInstallation, grant: Grant
    ) -> AccessToken | Literal[Step.LOOK_AGAIN]:
        """Store the grant; a rotated refresh token, which nobody can get again, for hours."""
        deadline = self._clock() + self._policy.save_for
        is_rotated = grant.refresh_token not in {None, stored.refresh_token}
        # For this process at once; for all after the grant is stored, which must not wait.
        self._terms.rotates |= is_rotated
        while True:
            try:
                is_stored = await self._store(stored, grant)
                if is_rotated:
                    await self._terms.note_rotation()
            except StorageUnavailable:
                if not is_rotated or self._clock() >= deadline:
                    raise
            else:
                # A token that died meanwhile was stored for its refresh token only.
                is_alive = grant.access_token.expires_at > self._clock()
                return grant.access_token if is_stored and is_alive else Step.LOOK_AGAIN
            logger.error(
                "a new refresh token could not be stored yet, and is in memory only (site %s)",
                stored.instance_id,
                extra={"instance_id": stored.instance_id},
            )
            await self._sleep(self._policy.save_pause * (0.5 + self._jitter()))

    async def _store(self, stored: StoredInstallation, grant: Grant) -> bool:
        """Compare and swap before any caller uses the token; False where another grant won."""
        while not await self._installations.replace(stored, grant):
            now = await self._installations.require(stored.instance_id)
            if not now.has_grant_of(stored):
                return False
            # Another process only noted a failure: the grant in hand is newer.
            stored = now
        return True

    async def _note_failure(self, stored: StoredInstallation, exc: WixError) -> bool:
        """Leave the verdict for all processes; False where the row has changed meanwhile."""
        failure, pause = self._verdict(exc, stored.seconds_left(self._clock()))
        if failure != RefreshFailure.UNAVAILABLE:
            logger.error(
                "Wix refuses a refresh: %s (%s, site %s)",
                failure,
                exc,
                stored.instance_id,
                extra={"instance_id": stored.instance_id},
            )
        try:
            return await self._installations.note_failure(stored, failure, pause)
        except StorageUnavailable:
            logger.warning(
                "a failed refresh could not be noted for the other processes (site %s)",
                stored.instance_id,
                extra={"instance_id": stored.instance_id},
            )
            return True

    def _verdict(self, exc: WixError, left: float) -> tuple[RefreshFailure, float]:
        """Return why a refresh failed, and after how many seconds it may be tried again."""
        spread = 0.5 + self._jitter()
        if isinstance(exc, WixUnavailable):
            if left > 0:
                spread = min(spread, max(left - self._policy.token_reserve, left / 2))
            pause = min(max(exc.asked or 0.0, spread), self._policy.max_failure_pause)
            return RefreshFailure.UNAVAILABLE, pause
        is_refused = isinstance(exc, GrantRefused)
        failure = RefreshFailure.REFUSED if is_refused else RefreshFailure.MISCONFIGURED
        return failure, self._policy.refused_pause * spread

    def _last_pause(self, stored: StoredInstallation, exc: WixError) -> float | None:
        """Return the pause that Wix asks for, if it outlives the token by a few seconds only."""
        if not isinstance(exc, WixUnavailable):
            return None
        asked = exc.asked or 0.0
        left = stored.seconds_left(self._clock())
        return asked if left <= asked <= self._policy.last_pause else None
