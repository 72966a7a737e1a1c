"""One refresh of one installation, over all processes and hosts."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Final

import anyio

from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.concurrency.slots import Slot, Slots
from wix_asgi.errors import (
    GrantRefused,
    NotInstalled,
    StorageUnavailable,
    WixError,
    WixMisconfigured,
    WixUnavailable,
)
from wix_asgi.installations.repository import InstallationRepository, StoredInstallation
from wix_asgi.models import AccessToken, Grant
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.storage import Storage
from wix_asgi.tokens._lease import Lease

__all__ = ["MAX_REFRESHES", "Refresher", "advisory_window", "mandatory_window"]

logger = logging.getLogger("wix_asgi")

MAX_REFRESHES: Final = 50
"""How many refreshes of an event loop may be at Wix."""

_BUDGET: Final = 30.0
_FIRST_POLL: Final = 0.1
_LAST_POLL: Final = 0.25
# Processes that begin together would ask for the same leases at once, and all but one in vain.
_SPREAD: Final = 0.1
# Other processes may have brought a token long before there is a place here.
_PLACE_PATIENCE: Final = 5.0
_LONGEST_USUAL: Final = 1.0
# Of how many refreshes the usual one is the mean, more or less.
_MEMORY: Final = 4
# Fewer than a storage has connections: a holder must never wait behind those who wait for it.
_LOOKING_AT_ONCE: Final = 4
_TURN_SECONDS: Final = 10.0
_REFUSED_PAUSE: Final = 30.0
_MAX_PAUSE: Final = 60.0
_SAVE_PAUSE: Final = 1.0
_SAVE_SECONDS: Final = 6 * 3600.0
# A pause ends so long before the token does that one more try can save it.
_RESERVE: Final = 0.5
# One that Wix asks for and that does not is made by the holder of the lease, up to so long.
_LAST_PAUSE: Final = 5.0

_REFUSED: Final = "refused"
_MISCONFIGURED: Final = "misconfigured"
_UNAVAILABLE: Final = "unavailable"


class _Overtaken(Exception):
    """The lease was lost, and the next try is not sent."""


class Refresher:
    """Brings a good access token: what another process stored, or else Wix's, under a lease."""

    def __init__(
        self,
        installations: InstallationRepository,
        storage: Storage,
        oauth: OAuthClient,
        *,
        app_id: str,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Work for the app `app_id`; `clock` gives monotonic seconds, `jitter` 0 to 1."""
        self._installations = installations
        self._storage = storage
        self._oauth = oauth
        self._app_id = app_id
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep
        self._usual = 0.0
        self._places = Slots(MAX_REFRESHES)
        self._queue = PerLoop(lambda: anyio.CapacityLimiter(_LOOKING_AT_ONCE))

    async def refresh(self, instance_id: str, unwanted: Collection[str]) -> AccessToken:
        """Return a token that is good and not one of `unwanted`, which may grow meanwhile.

        Raises:
            NotInstalled: There is no such installation, or Wix refuses its refresh token.
            WixUnavailable: Wix is failing, or another process or other refreshes take too long.
            WixMisconfigured: Wix refuses the app's credentials.
        """
        began = self._clock()
        deadline, pauses = began + _BUDGET, self._pauses(began + self._usual)
        name = f"refresh:{self._app_id}:{instance_id}"
        lease = Lease(self._storage, name, clock=self._clock)
        if self._queue.here().available_tokens < 1:
            await self._sleep(_SPREAD * self._jitter())
        with self._places.slot() as place:
            while self._clock() < deadline:
                if token := await self._look_or_claim(instance_id, unwanted, lease, place):
                    return token
                if not lease.is_held:
                    await self._wait(place, pauses)
                elif token := await self._lead_renewing(instance_id, unwanted, lease, place):
                    return token
        raise WixUnavailable("Another process, or refreshes of other tokens, take too long.")

    async def _look_or_claim(
        self, instance_id: str, unwanted: Collection[str], lease: Lease, place: Slot
    ) -> AccessToken | None:
        """Return what there is without a refresh, or else try to get the lease for one."""
        async with self._turn():
            # First of all: whoever has to wait for a place leaves the lease to other processes.
            place.take()
            if token := await self._look(instance_id, unwanted, place):
                return token
            if place.is_taken and lease.is_due:
                await lease.take()
        return None

    async def _wait(self, place: Slot, pauses: Iterator[float]) -> None:
        """Wait for a place where there was none, or else for the holder of the lease."""
        if not place.is_taken:
            await place.wait(_PLACE_PATIENCE)
            return
        place.release()
        await self._sleep(next(pauses))

    def _pauses(self, over_at: float) -> Iterator[float]:
        """Give the seconds until the next look, which is no use before a refresh may be over."""
        poll = _FIRST_POLL
        while True:
            yield max(0.0, over_at - self._clock()) + poll * (0.5 + self._jitter())
            poll = min(2 * poll, _LAST_POLL)

    async def _lead_renewing(
        self, instance_id: str, unwanted: Collection[str], lease: Lease, place: Slot
    ) -> AccessToken | None:
        lead = partial(self._lead, instance_id, unwanted, lease, place)
        try:
            return await lease.while_renewing(lead)
        finally:
            await lease.give_back()

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a turn at the storage: only holders of a lease go past this queue."""
        queue = self._queue.here()
        try:
            with anyio.fail_after(_TURN_SECONDS):
                await queue.acquire()
        except TimeoutError:
            raise StorageUnavailable("Too many refreshes wait for the storage.") from None
        try:
            yield
        finally:
            queue.release()

    async def _look(
        self, instance_id: str, unwanted: Collection[str], place: Slot
    ) -> AccessToken | None:
        """Return what there is without a refresh; None means: try to lead one."""
        stored = await self._read(instance_id)
        if token := self._usable(stored, unwanted) or self._judged(stored, unwanted):
            return token
        is_useless = place.was_missed and self._oauth.is_failing
        if not is_useless and not self._oauth.is_crowded:
            return None
        if token := self._alive(stored, unwanted):
            return token
        raise WixUnavailable("Too many refreshes wait for Wix already.")

    async def _read(self, instance_id: str) -> StoredInstallation:
        stored = await self._installations.get(instance_id)
        if stored is None:
            raise NotInstalled
        return stored

    def _usable(self, stored: StoredInstallation, unwanted: Collection[str]) -> AccessToken | None:
        token = self._alive(stored, unwanted)
        if token is None or token.expires_at - self._clock() <= mandatory_window(token.lifetime):
            return None
        return token

    def _alive(self, stored: StoredInstallation, unwanted: Collection[str]) -> AccessToken | None:
        token = stored.access_token
        if token is None or token.value in unwanted or token.expires_at <= self._clock():
            return None
        return token

    def _judged(self, stored: StoredInstallation, unwanted: Collection[str]) -> AccessToken | None:
        """While the last refresh's verdict stands: the token's last seconds, or that verdict."""
        verdict = _verdict_of(stored)
        if verdict is None:
            return None
        if token := self._alive(stored, unwanted):
            return token
        raise verdict

    async def _lead(
        self, instance_id: str, unwanted: Collection[str], lease: Lease, place: Slot
    ) -> AccessToken | None:
        """Refresh as the holder of the lease and of a place; None means: look again."""
        stored = await self._read(instance_id)
        if token := self._usable(stored, unwanted) or self._judged(stored, unwanted):
            return token
        was_alive = self._left(stored) > 0
        try:
            with place:
                grant = await self._refresh(stored, lease)
        except _Overtaken:
            return None
        except (GrantRefused, WixMisconfigured, WixUnavailable) as exc:
            if was_alive and (pause := self._last_pause(stored, exc)) is not None:
                # What failed before the token's end sends nobody away after it.
                await self._sleep(pause)
                return None
            if not await self._settle_failure(stored, exc):
                return None
            if token := self._alive(stored, unwanted):
                return token
            if isinstance(exc, GrantRefused):
                raise NotInstalled from exc
            raise
        return await self._save(stored, grant)

    async def _refresh(self, stored: StoredInstallation, lease: Lease) -> Grant:
        """Have Wix grant a new token, and note how long that takes."""

        def check() -> None:
            # Asleep for too long: another process may have sent this refresh token by now.
            if not lease.is_held:
                raise _Overtaken

        began = self._clock()
        granted = await self._oauth.refresh(stored.refresh_token, before_sending=check)
        took = min(self._clock() - began, _LONGEST_USUAL)
        self._usual += (took - self._usual) / _MEMORY
        return granted

    async def _save(self, stored: StoredInstallation, grant: Grant) -> AccessToken | None:
        """Store what was granted; where nobody could get it again, go on trying for hours."""
        deadline = self._clock() + _SAVE_SECONDS
        while True:
            try:
                saved = await self._store(stored, grant)
            except StorageUnavailable:
                is_rotated = grant.refresh_token not in {None, stored.refresh_token}
                if not is_rotated or self._clock() >= deadline:
                    raise
            else:
                # Dead by now, it is good for its refresh token only: look again.
                return saved if grant.access_token.expires_at > self._clock() else None
            logger.error("a new refresh token could not be stored yet, and is in memory only")
            await anyio.sleep(_SAVE_PAUSE * (0.5 + self._jitter()))

    async def _store(self, stored: StoredInstallation, grant: Grant) -> AccessToken | None:
        """Store by comparison what was granted, before anybody uses it."""
        while not await self._installations.replace(stored, grant):
            now = await self._read(stored.instance_id)
            if _grant_of(now) != _grant_of(stored):
                # A reinstall or another refresh wins over this one.
                return None
            # The other one only failed: what is in hand is newer than what is stored.
            stored = now
        return grant.access_token

    async def _settle_failure(self, stored: StoredInstallation, exc: WixError) -> bool:
        """Leave the verdict for the other processes; False where they came further meanwhile."""
        failure, pause = self._verdict(exc, self._left(stored))
        if failure != _UNAVAILABLE:
            logger.error("Wix refuses a refresh: %s (%s)", failure, exc)
        try:
            return await self._installations.note_failure(stored, failure, pause)
        except StorageUnavailable:
            logger.warning("a failed refresh could not be noted for the other processes")
            return True

    def _last_pause(self, stored: StoredInstallation, exc: WixError) -> float | None:
        """Return the pause before the next try, where that comes after the token's end and soon."""
        if not isinstance(exc, WixUnavailable):
            return None
        asked = exc.asked or 0.0
        return asked if self._left(stored) <= asked <= _LAST_PAUSE else None

    def _left(self, stored: StoredInstallation) -> float:
        return stored.access_token.expires_at - self._clock() if stored.access_token else 0.0

    def _verdict(self, exc: WixError, left: float) -> tuple[str, float]:
        spread = 0.5 + self._jitter()
        if isinstance(exc, WixUnavailable):
            if left > 0:
                spread = min(spread, max(left - _RESERVE, left / 2))
            return _UNAVAILABLE, min(max(exc.asked or 0.0, spread), _MAX_PAUSE)
        refused = isinstance(exc, GrantRefused)
        return _REFUSED if refused else _MISCONFIGURED, _REFUSED_PAUSE * spread


def _grant_of(stored: StoredInstallation) -> tuple[datetime, str, str | None]:
    """Return what a reinstall or a refresh changes, and the note of a failure does not."""
    token = stored.access_token
    return stored.installed_at, stored.refresh_token, token.value if token else None


def _verdict_of(stored: StoredInstallation) -> WixError | None:
    """Return what the last refresh ended with, for as long as it stands."""
    if stored.failure is None or stored.retry_in <= 0:
        return None
    if stored.failure == _REFUSED:
        return NotInstalled()
    if stored.failure == _MISCONFIGURED:
        return WixMisconfigured()
    return WixUnavailable("Wix failed a moment ago.", asked=stored.retry_in)


def mandatory_window(lifetime: float) -> float:
    """Return the last seconds of a token's life in which callers wait for its successor."""
    return min(20.0, 0.07 * lifetime)


def advisory_window(lifetime: float) -> float:
    """Return the last seconds of a token's life in which one caller refreshes it ahead."""
    return min(90.0, 0.30 * lifetime)
