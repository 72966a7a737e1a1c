"""The code at Wix: exchanged once for tokens, and the installation proved that they are for."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from wix_asgi.errors import HandshakeRefused, Reason, WixUnavailable
from wix_asgi.handshake._flows import FlowRun
from wix_asgi.handshake._install_proof import ProvenInstall, other_site
from wix_asgi.handshake._query import ADVANCED, Query
from wix_asgi.handshake._retrying import Retrying
from wix_asgi.handshake._state_use import StateUse
from wix_asgi.handshake.policy import CallbackPolicy
from wix_asgi.models import AccessToken, Grant
from wix_asgi.oauth.client import OAuthClient

__all__ = ["CodeExchange"]


class CodeExchange:
    """Proves installs by a code (RFC 6749, 4.1), for one app; shared by all callbacks.

    A code is good once, so from its exchange on an install goes on until it is proved.
    """

    parameters = ADVANCED

    def __init__(
        self,
        oauth: OAuthClient,
        retrying: Retrying,
        *,
        app_id: str,
        policy: CallbackPolicy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask through `oauth`, again and again by `retrying`; `clock` gives monotonic seconds."""
        self._oauth = oauth
        self._retrying = retrying
        self._app_id = app_id
        self._policy = policy
        self._clock = clock

    def refusal(self, query: Query) -> HandshakeRefused | None:
        """Return the refusal of a callback with an error, or without a code."""
        if "error" in query:
            return HandshakeRefused(Reason.DENIED)
        if not query.get("code"):
            return HandshakeRefused(Reason.BAD_REQUEST, "there is neither a code nor an error")
        return None

    async def prove(
        self, query: Query, run: FlowRun, turn: AbstractAsyncContextManager[None]
    ) -> ProvenInstall:
        """Exchange the code, and ask Wix whose the token is, for hours where Wix fails."""
        named = query.get("instanceId")
        async with turn:
            grant = await self._exchange(query, run.use)
            run.note_grant()
            instance_id = await self.try_to_identify(grant, named)
        if instance_id is None:
            return await self.identify(grant, named)
        return ProvenInstall(instance_id, grant)

    async def try_to_identify(self, grant: Grant, named: str | None) -> str | None:
        """Return the installation that `grant` is for; None while Wix is failing.

        Raises:
            HandshakeRefused: The token is another app's, or another site's than the named one.
        """
        try:
            return await self._ask(grant.access_token, named)
        except WixUnavailable as exc:
            self._retrying.log(_printable(named), "proved", exc)
            return None

    async def identify(self, grant: Grant, named: str | None) -> ProvenInstall:
        """Return the installation that `grant` is for, and the grant, renewed where that took long.

        Raises:
            HandshakeRefused: The token is another app's, or another site's than the named one; or
                Wix has failed for hours.
            GrantRefused: Wix refuses to renew the grant.
            WixMisconfigured: Wix refuses the app's credentials.
        """

        async def ask() -> ProvenInstall:
            nonlocal grant
            token = grant.access_token
            if token.expires_at - self._clock() < min(
                self._policy.token_reserve, token.lifetime / 2
            ):
                renewed = await self._oauth.refresh(grant.refresh_token or "")
                grant = Grant(renewed.access_token, renewed.refresh_token or grant.refresh_token)
            return ProvenInstall(await self._ask(grant.access_token, named), grant)

        return await self._retrying.run(ask, _printable(named), "proved")

    async def _exchange(self, query: Query, state_use: StateUse) -> Grant:
        """Exchange the code in `query`, once; give the state back if nothing was sent."""
        try:
            # No local of ours holds the code: a traceback with locals shows no secret.
            grant = await self._oauth.exchange(query["code"])
        except WixUnavailable as exc:
            if exc.unsent:
                # The code is as good as before, so the same address may be loaded again.
                await state_use.give_back()
            raise
        if grant.refresh_token is None:
            raise HandshakeRefused(Reason.EXCHANGE_REJECTED, "no refresh token was granted")
        return grant

    async def _ask(self, token: AccessToken, named: str | None) -> str:
        """Return the installation that `token` is for; the callback has `named` it, or none."""
        try:
            info = await self._oauth.token_info(token.value)
        except WixUnavailable as exc:
            # This question may be repeated, but the code is spent: not `unsent`.
            raise WixUnavailable(exc.message, asked=exc.asked) from exc
        if not info.active or info.client_id != self._app_id or info.instance_id is None:
            raise HandshakeRefused(Reason.INSTANCE_MISMATCH, "the token is not this app's")
        if named is not None and named != info.instance_id:
            raise other_site("token", info.instance_id, named)
        return info.instance_id


def _printable(named: str | None) -> str:
    """Return the site that an address names, unless its characters could forge a log line."""
    return named if named and named.isprintable() else "(not named)"
