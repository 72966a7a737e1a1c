"""The refresh itself, done by the holder of an installation's lease."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Literal

from wix_asgi.errors import (
    GrantRefused,
    NotInstalled,
    StorageUnavailable,
    WixError,
    WixMisconfigured,
    WixUnavailable,
)
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import RefreshFailure, StoredInstallation
from wix_asgi.leases.lease import Lease
from wix_asgi.models import AccessToken
from wix_asgi.tokens._attempt import Attempt, LeaseRanOut
from wix_asgi.tokens._finder import Finder
from wix_asgi.tokens._grant_rules import GrantRules
from wix_asgi.tokens._grant_source import Granted, GrantSource
from wix_asgi.tokens._lease_terms import LeaseTerms
from wix_asgi.tokens._look import Step, token_without_refresh
from wix_asgi.tokens._storage_watch import Stage
from wix_asgi.tokens.policy import RefreshPolicy

__all__ = ["Leader"]

logger = logging.getLogger("wix_asgi")


class Leader:
    """Has Wix grant a new token, and stores it or the verdict for all processes.

    Attributes:
        usual_seconds: How long a refresh at Wix usually takes.
    """

    def __init__(
        self,
        installations: InstallationRepository,
        source: GrantSource,
        finder: Finder,
        terms: LeaseTerms,
        rules: GrantRules,
        *,
        policy: RefreshPolicy,
        clock: Callable[[], float],
        jitter: Callable[[], float],
        sleep: Callable[[float], Awaitable[object]],
        note_lost: Callable[[NotInstalled], object],
    ) -> None:
        """Get grants from `source`, and installations that are not stored from `finder`.

        `terms` learn of rotated tokens. `clock` gives monotonic seconds, `jitter` 0 to 1.
        `note_lost` is called once for each installation that Wix refuses every grant.
        """
        self._installations = installations
        self._source = source
        self._finder = finder
        self._terms = terms
        self._rules = rules
        self._policy = policy
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep
        self._note_lost = note_lost
        self.usual_seconds = 0.0

    async def lead(self, attempt: Attempt) -> AccessToken | Literal[Step.LOOK_AGAIN]:
        """Refresh with the lease held and the slot taken, which is released once Wix has answered.

        Raises:
            NotInstalled: There is no such installation, or Wix refuses each grant that is tried.
            NoAnswer: To a question, from an installation without a grant to ask by.
            WixUnavailable: Wix is failing, and the token in hand is dead.
            WixMisconfigured: Wix refuses the app's credentials, and the token in hand is dead.
            UnsealError: The refresh token cannot be read, and nothing may take its place.
        """
        # Its holder before us may have refreshed, and the row is read anew under the lease, unless
        # the storage has compared its version when it gave the lease.
        stored = attempt.unchanged or await self._installations.get(attempt.instance_id)
        attempt.terms.set_for(stored)
        try:
            if attempt.is_question:
                return await self._ask(stored, attempt)
            if stored is None:
                return await self._finder.find(attempt)
            return await self._refresh(stored, attempt)
        except LeaseRanOut:
            return Step.LOOK_AGAIN

    async def _refresh(
        self, stored: StoredInstallation, attempt: Attempt
    ) -> AccessToken | Literal[Step.LOOK_AGAIN]:
        unwanted = attempt.unwanted
        if token := token_without_refresh(
            stored, unwanted, self._clock(), self._policy, self._rules
        ):
            return token
        was_alive = stored.seconds_left(self._clock()) > 0
        try:
            attempt.progress.enter(Stage.WIX)
            with attempt.slot:
                granted = await self._request_grant(stored, attempt)
        except (GrantRefused, WixMisconfigured, WixUnavailable) as exc:
            if was_alive and (pause := self._last_pause(stored, exc)) is not None:
                # A failure before the token's end sends no caller away after it.
                await self._sleep(pause)
                return Step.LOOK_AGAIN
            attempt.progress.enter(Stage.STORAGE)
            if not await self._note_failure(stored, exc):
                return Step.LOOK_AGAIN
            if token := stored.live_token(self._clock(), unwanted):
                return token
            if isinstance(exc, GrantRefused):
                raise NotInstalled(instance_id=stored.instance_id) from exc
            raise
        attempt.progress.enter(Stage.STORAGE)
        return await self._save(stored, granted, attempt.lease)

    async def _ask(
        self, stored: StoredInstallation | None, attempt: Attempt
    ) -> AccessToken | Literal[Step.LOOK_AGAIN]:
        """Hear whether the app is there still: a grant is stored, and a refusal noted nowhere."""
        if stored is None:
            raise NotInstalled
        attempt.progress.enter(Stage.WIX)
        with attempt.slot:
            try:
                granted = await self._source.ask(stored, attempt.hold_lease)
            except GrantRefused as exc:
                raise NotInstalled(instance_id=stored.instance_id) from exc
        attempt.progress.enter(Stage.STORAGE)
        return await self._save(stored, granted, attempt.lease)

    async def _request_grant(self, stored: StoredInstallation, attempt: Attempt) -> Granted:
        """Have Wix grant a new token, and learn how long that usually takes."""
        began = self._clock()
        granted = await self._source.renew(stored, attempt.hold_lease)
        took = min(self._clock() - began, self._policy.usual_refresh_max)
        self.usual_seconds += (took - self.usual_seconds) / self._policy.usual_refresh_memory
        return granted

    async def _save(
        self, stored: StoredInstallation, granted: Granted, lease: Lease
    ) -> AccessToken | Literal[Step.LOOK_AGAIN]:
        """Store the grant; a rotated refresh token, which nobody can get again, for hours."""
        grant = granted.grant
        deadline = self._clock() + self._policy.save_for
        is_rotated = grant.refresh_token not in {None, stored.refresh_token}
        # For this process at once; for all after the grant is stored, which must not wait.
        self._terms.rotates |= is_rotated
        while True:
            try:
                is_stored = await self._store(stored, granted, lease)
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

    async def _store(self, stored: StoredInstallation, granted: Granted, lease: Lease) -> bool:
        """Compare and swap before any caller uses the token; False where another grant won."""
        grant, grant_type = granted.grant, granted.grant_type
        while not await self._installations.replace(
            stored, grant, lease=lease, grant_type=grant_type
        ):
            now = await self._installations.require(stored.instance_id)
            if not now.has_grant_of(stored):
                return False
            # Another process only noted a failure: the grant in hand is newer.
            stored = now
        if granted.recovered_from is not None:
            logger.warning(
                "an installation goes on by client credentials, since its refresh token %s: %s "
                "(site %s)",
                "is gone"
                if stored.unreadable is None
                else "cannot be opened here, and stays stored",
                granted.recovered_from,
                stored.instance_id,
                extra={"instance_id": stored.instance_id},
            )
        return True

    async def _note_failure(self, stored: StoredInstallation, exc: WixError) -> bool:
        """Leave the verdict for all processes; False where the row has changed meanwhile."""
        failure, pause = self._verdict(stored, exc)
        if failure != RefreshFailure.UNAVAILABLE:
            logger.error(
                "Wix refuses a refresh: %s (%s, site %s)",
                failure,
                exc,
                stored.instance_id,
                extra={"instance_id": stored.instance_id},
            )
        elif stored.failure == RefreshFailure.NOT_INSTALLED or (
            stored.failure == RefreshFailure.UNREADABLE and stored.is_without_refresh_token
        ):
            # Wix's last word stays, or its next refusal would be told as a new one.
            failure = RefreshFailure(stored.failure)
        try:
            is_noted = await self._installations.note_failure(stored, failure, pause)
        except StorageUnavailable:
            logger.warning(
                "a failed refresh could not be noted for the other processes (site %s)",
                stored.instance_id,
                extra={"instance_id": stored.instance_id},
            )
            return True
        # Once: the row of an installation that was lost before says so.
        lost = {RefreshFailure.NOT_INSTALLED, RefreshFailure.UNREADABLE}
        if is_noted and failure in lost and stored.failure not in lost:
            self._note_lost(NotInstalled(instance_id=stored.instance_id))
        return is_noted

    def _verdict(self, stored: StoredInstallation, exc: WixError) -> tuple[RefreshFailure, float]:
        """Return why a refresh failed, and after how many seconds it may be tried again."""
        spread = 0.5 + self._jitter()
        if isinstance(exc, WixUnavailable):
            left = stored.seconds_left(self._clock())
            if left > 0:
                spread = min(spread, max(left - self._policy.token_reserve, left / 2))
            pause = min(max(exc.asked or 0.0, spread), self._policy.max_failure_pause)
            return RefreshFailure.UNAVAILABLE, pause
        if isinstance(exc, WixMisconfigured):
            failure = RefreshFailure.MISCONFIGURED
        elif self._rules.ends_with_client_credentials(stored):
            is_blind = stored.unreadable is not None and not stored.is_of_client_credentials
            failure = RefreshFailure.UNREADABLE if is_blind else RefreshFailure.NOT_INSTALLED
        else:
            failure = RefreshFailure.REFUSED
        return failure, self._policy.refused_pause * spread

    def _last_pause(self, stored: StoredInstallation, exc: WixError) -> float | None:
        """Return the pause that Wix asks for, if it outlives the token by a few seconds only."""
        if not isinstance(exc, WixUnavailable):
            return None
        asked = exc.asked or 0.0
        left = stored.seconds_left(self._clock())
        return asked if left <= asked <= self._policy.last_pause else None
