"""The grant of an installation: by its refresh token, or by the app's own credentials."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from wix_asgi.errors import GrantRefused, WixMisconfigured
from wix_asgi.installations.stored import StoredInstallation
from wix_asgi.models import Grant, GrantType
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.reporting.line_limit import LineLimit
from wix_asgi.tokens._grant_rules import GrantRules

__all__ = ["GrantSource", "Granted", "NoAnswer"]

logger = logging.getLogger("wix_asgi")


class NoAnswer(Exception):
    """No grant is left by which Wix could say whether the app is on a site."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant, and how Wix gave it.

    Attributes:
        recovered_from: Why the refresh token was given up for client credentials; None where it
            was not.
    """

    grant: Grant
    grant_type: GrantType
    recovered_from: str | None = None


class GrantSource:
    """Asks Wix for grants; where the refresh token brings none, the app's credentials may."""

    def __init__(self, oauth: OAuthClient, rules: GrantRules) -> None:
        """Ask through `oauth`, as far as `rules` allow."""
        self._oauth = oauth
        self._rules = rules
        self._lines = LineLimit(math.inf)

    async def renew(
        self, stored: StoredInstallation, before_sending: Callable[[], Awaitable[None]]
    ) -> Granted:
        """Have Wix grant a new access token to a stored installation without an obstacle.

        `before_sending` is awaited before each try.

        Raises:
            Exception: The error of `before_sending`.
            GrantRefused: Wix refuses the refresh token, and client credentials if it was asked.
            WixMisconfigured: Wix refuses the app's credentials.
            WixUnavailable: Wix is failing.
        """
        if stored.grant_type is GrantType.CLIENT_CREDENTIALS:
            grant = await self._oauth.client_credentials(
                stored.instance_id, before_sending=before_sending
            )
            return Granted(grant, GrantType.CLIENT_CREDENTIALS)
        if not stored.refresh_token:
            reason = stored.unreadable.error if stored.unreadable else "there is no refresh token"
            return await self._recover(stored.instance_id, str(reason), before_sending)
        try:
            grant = await self._oauth.refresh(stored.refresh_token, before_sending=before_sending)
        except GrantRefused as exc:
            if not self._rules.recover:
                raise
            return await self._recover(stored.instance_id, str(exc), before_sending)
        return Granted(grant, GrantType.REFRESH_TOKEN)

    async def ask(
        self, stored: StoredInstallation, before_sending: Callable[[], Awaitable[None]]
    ) -> Granted:
        """Do as `renew` does, where a refusal is to prove that the app is not there any more.

        A refresh token is good "as long as the app is installed on the user's site" (Wix,
        "Authentication"), so that its refusal is a proof by itself; that of client credentials is
        one unless Wix gives them to no site of the app.

        Raises:
            Exception: The errors of `renew`. A `GrantRefused` is such a proof.
            NoAnswer: There is no refresh token to ask by, and no client credentials.
        """
        if self._rules.obstacle(stored) is not None:
            raise NoAnswer
        try:
            return await self.renew(stored, before_sending)
        except GrantRefused as exc:
            if stored.is_without_refresh_token and isinstance(exc.__cause__, WixMisconfigured):
                raise NoAnswer from exc
            raise

    async def find(self, instance_id: str, before_sending: Callable[[], Awaitable[None]]) -> Grant:
        """Have Wix grant an access token to an installation without a good row.

        Raises:
            Exception: The error of `before_sending`.
            GrantRefused: The app is not installed there, or has no client credentials at Wix.
            WixMisconfigured: Wix refuses the credentials of an app whose usual grant they are.
            WixUnavailable: Wix is failing.
        """
        try:
            return await self._oauth.client_credentials(instance_id, before_sending=before_sending)
        except WixMisconfigured as exc:
            if not self._rules.is_remedy:
                raise
            # An app of the custom authentication may have none, and its credentials are good.
            if self._lines.admit("no client credentials") is not None:
                logger.warning(
                    "Wix grants this app no client credentials, so that no installation recovers "
                    "by them (WIX_RECOVER=false spares the attempts): %s",
                    exc,
                )
            raise GrantRefused(f"no client credentials: {exc}") from exc

    async def _recover(
        self, instance_id: str, reason: str, before_sending: Callable[[], Awaitable[None]]
    ) -> Granted:
        grant = await self.find(instance_id, before_sending)
        return Granted(grant, GrantType.CLIENT_CREDENTIALS, reason)
