"""The rest of an install whose code is spent: its grant is kept in memory until it is stored."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from wix_asgi.errors import (
    HandshakeRefused,
    Reason,
    StorageUnavailable,
    WixError,
    WixUnavailable,
)
from wix_asgi.handshake._code_exchange import CodeExchange
from wix_asgi.handshake.policy import CallbackPolicy
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.models import Grant
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.reporting.line_limit import LineLimit

__all__ = ["Completion"]

T = TypeVar("T")

logger = logging.getLogger("wix_asgi")


class Completion:
    """Proves and stores grants, for hours where Wix or the storage fails; shared by all callbacks.

    The code of the grant is spent, and Wix shows the app as installed: to drop the grant would cost
    the site owner a reinstall. Only a killed process drops it.
    """

    def __init__(
        self,
        code_exchange: CodeExchange,
        installations: InstallationRepository,
        oauth: OAuthClient,
        *,
        policy: CallbackPolicy,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[object]] = anyio.sleep,
    ) -> None:
        """Keep on within `policy`; `clock` gives monotonic seconds, `jitter` 0 to 1."""
        self._code_exchange = code_exchange
        self._installations = installations
        self._oauth = oauth
        self._policy = policy
        self._clock = clock
        self._jitter = jitter
        self._sleep = sleep
        self._lines = LineLimit(policy.line_interval, clock=clock)
        # By instance id, the grant that was proved last: an older one never overwrites it.
        self._newest: dict[str, Grant] = {}

    async def try_to_prove(self, grant: Grant, named: str | None) -> str | None:
        """Return the installation that `grant` is for; None while Wix is failing.

        Raises:
            HandshakeRefused: The token is another app's, or another site's than the named one.
        """
        try:
            return await self._code_exchange.prove(grant.access_token, named)
        except WixUnavailable as exc:
            self._log(_printable(named), "proved", exc)
            return None

    async def prove(self, grant: Grant, named: str | None) -> tuple[str, Grant]:
        """Return the installation that `grant` is for, and the grant, renewed where that took long.

        Raises:
            HandshakeRefused: The token is another app's, or another site's than the named one; or
                Wix has failed for hours.
            GrantRefused: Wix refuses to renew the grant.
            WixMisconfigured: Wix refuses the app's credentials.
        """

        async def ask() -> tuple[str, Grant]:
            nonlocal grant
            token = grant.access_token
            if token.expires_at - self._clock() < min(
                self._policy.token_reserve, token.lifetime / 2
            ):
                renewed = await self._oauth.refresh(grant.refresh_token or "")
                grant = Grant(renewed.access_token, renewed.refresh_token or grant.refresh_token)
            return await self._code_exchange.prove(grant.access_token, named), grant

        return await self._insist(ask, _printable(named), "proved")

    async def store(self, instance_id: str, grant: Grant) -> StoredInstallation:
        """Store the installation, and read it back before anybody is told of a success.

        Raises:
            HandshakeRefused: The installation is gone already, a later install of the same site has
                taken its place, or the storage has failed for hours.
        """
        self._newest[instance_id] = grant
        saving = _Saving(self._installations, instance_id, grant)

        async def save() -> StoredInstallation:
            if self._newest.get(instance_id) is not grant:
                raise HandshakeRefused(
                    Reason.STATE_REUSED, "the site was installed again meanwhile"
                )
            return await saving.run()

        try:
            return await self._insist(save, instance_id, "stored")
        finally:
            if self._newest.get(instance_id) is grant:
                del self._newest[instance_id]

    async def _insist(self, attempt: Callable[[], Awaitable[T]], site: str, done: str) -> T:
        """Return the result of `attempt`, repeated while Wix or the storage is failing."""
        deadline = self._clock() + self._policy.keep_for
        pause = self._policy.retry_pause
        try:
            while True:
                try:
                    return await attempt()
                except (StorageUnavailable, WixUnavailable) as exc:
                    if self._clock() >= deadline:
                        # Not the error itself: it may promise a code which is still good.
                        raise HandshakeRefused(
                            Reason.INTERNAL, f"the installation was not {done} for hours"
                        ) from exc
                    self._log(site, done, exc)
                await self._sleep(pause * (0.5 + self._jitter()))
                pause = min(2 * pause, self._policy.max_retry_pause)
        except anyio.get_cancelled_exc_class():
            self._log_loss(site, done)
            raise

    def _log_loss(self, site: str, done: str) -> None:
        logger.error(
            "the process ends before the install on site %s is %s: its owner has to install the "
            "app again",
            site,
            done,
            extra={"instance_id": site},
        )

    def _log(self, site: str, done: str, exc: WixError) -> None:
        left_out = self._lines.admit((site, done))
        if left_out is not None:
            logger.error(
                "the install on site %s is not %s yet, and is in memory only (%d failed tries): %s",
                site,
                done,
                left_out + 1,
                exc,
                extra={"instance_id": site},
            )


def _printable(named: str | None) -> str:
    """Return the site that an address names, unless its characters could forge a log line."""
    return named if named and named.isprintable() else "(not named)"


class _Saving:
    """One grant on its way into the storage, in steps that may be repeated."""

    def __init__(
        self, installations: InstallationRepository, instance_id: str, grant: Grant
    ) -> None:
        self._installations = installations
        self._instance_id = instance_id
        self._grant = grant
        self._is_put = False
        self._may_be_put = False

    async def run(self) -> StoredInstallation:
        """Put the installation where that was not done, and return it as it is stored."""
        if self._may_be_put and not self._is_put:
            self._is_put = await self._is_there()
        if not self._is_put:
            self._may_be_put = True
            await self._installations.put(self._instance_id, self._grant)
            # Once: the site's token may be refreshed by another process from here on, and a second
            # `put` would bring a revoked refresh token back.
            self._is_put = True
        stored = await self._installations.get(self._instance_id)
        if stored is None:
            raise HandshakeRefused(Reason.INTERNAL, "the installation is gone already")
        return stored

    async def _is_there(self) -> bool:
        """Whether a `put` without an answer was carried out all the same."""
        stored = await self._installations.get(self._instance_id)
        return stored is not None and stored.refresh_token == self._grant.refresh_token
