"""The code at Wix: exchanged once for tokens, and the installation proved that they are for."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from typing import Final

from starlette.types import Scope

from wix_asgi.asgi.client_network import client_network
from wix_asgi.concurrency.fair_slots import FairSlots
from wix_asgi.errors import HandshakeRefused, Reason, WixUnavailable
from wix_asgi.handshake._query import Query
from wix_asgi.handshake._state_use import StateUse
from wix_asgi.models import AccessToken, Grant
from wix_asgi.oauth.client import OAuthClient

__all__ = ["CodeExchange"]

_INSTANCE_ID: Final = re.compile(r"(?i:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})")
"""Wix's instance ids; nothing else of an address is logged, which anybody can write."""

_MAX_WAIT: Final = 0.75
"""Seconds that a callback waits for its turn at Wix.

Enough for a rush: fifty slots serve over a hundred installs in it, where Wix takes 0.3 s for each
question. And short, so that a browser that has to come again is told within a second.
"""

_MAX_QUEUE: Final = 200
"""Callbacks of a process that wait for their turn, each with its request in memory.

Fifty slots serve 190 in 0.75 s where Wix takes 0.2 s; a longer queue would wait in vain.
"""


class CodeExchange:
    """Asks Wix's token endpoints for one app; shared by all callbacks and event loops."""

    def __init__(
        self,
        oauth: OAuthClient,
        *,
        app_id: str,
        max_exchanges: int,
        max_wait: float = _MAX_WAIT,
    ) -> None:
        """Ask through `oauth`, for at most `max_exchanges` callbacks of the process at once.

        Another callback waits for its turn, up to `max_wait` seconds.
        """
        self._oauth = oauth
        self._app_id = app_id
        # Not `concurrency.slots`, which bounds each event loop by itself: anybody's made-up codes
        # reach Wix from all loops of a process, and it is the process that Wix sees.
        self._slots = FairSlots(max_exchanges, max_queue=_MAX_QUEUE, max_wait=max_wait)

    @contextlib.asynccontextmanager
    async def slot(self, scope: Scope) -> AsyncIterator[None]:
        """Hold a slot while Wix is asked; the queue for it goes round over the clients' networks.

        Raises:
            WixUnavailable: The queue was too long. The code is as good as before (`unsent`).
        """
        if not await self._slots.acquire(client_network(scope)):
            raise WixUnavailable("too many installs are at Wix already", unsent=True)
        try:
            yield
        finally:
            self._slots.release()

    async def exchange(self, query: Query, state_use: StateUse) -> Grant:
        """Exchange the code in `query`, once; give the state back if nothing was sent.

        Raises:
            HandshakeRefused: Wix granted no refresh token.
            Exception: The errors of `OAuthClient.exchange`.
        """
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

    async def prove(self, token: AccessToken, named: str | None) -> str:
        """Return the installation that `token` is for; the callback has `named` it, or none.

        Raises:
            HandshakeRefused: The token is another app's, or another site's than the named one.
            WixUnavailable: Wix is failing; the code is spent, so it is never `unsent`.
        """
        try:
            info = await self._oauth.token_info(token.value)
        except WixUnavailable as exc:
            # This question may be repeated, but the code is spent: not `unsent`.
            raise WixUnavailable(exc.message, asked=exc.asked) from exc
        if not info.active or info.client_id != self._app_id or info.instance_id is None:
            raise HandshakeRefused(Reason.INSTANCE_MISMATCH, "the token is not this app's")
        if named is not None and named != info.instance_id:
            claimed = named if _INSTANCE_ID.fullmatch(named) else "another site"
            raise HandshakeRefused(
                Reason.INSTANCE_MISMATCH,
                f"the token is for site {info.instance_id}, and the address names {claimed}",
            )
        return info.instance_id
