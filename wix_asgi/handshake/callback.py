"""The callback path: Wix's answer is checked, its code exchanged, and the installation stored."""

from __future__ import annotations

import logging
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from wix_asgi.client.client import STATE_KEY, ClientFactory
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import HandshakeRefused, Reason, StorageUnavailable, WixError
from wix_asgi.handshake._code_exchange import CodeExchange
from wix_asgi.handshake._cookies import read_cookies
from wix_asgi.handshake._purge import Purge
from wix_asgi.handshake._query import read_query
from wix_asgi.handshake._requests import refuse_automatic_loads, refuse_other_methods
from wix_asgi.handshake._state_use import StateUse
from wix_asgi.handshake.responses import Responses
from wix_asgi.handshake.state import Flow, StateSigner
from wix_asgi.hooks import Hooks
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.models import AccessToken, Grant, Installation
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.protocol.endpoints import FINISHED, Endpoints
from wix_asgi.settings import WixSettings
from wix_asgi.storage import Storage
from wix_asgi.tokens.cache import TokenCache

__all__ = ["MAX_EXCHANGES", "Callback"]

logger = logging.getLogger("wix_asgi")

MAX_EXCHANGES: Final = 50
"""Callbacks of a process that may ask Wix at once, each with a connection of the installs' pool.

Codes that strangers make up reach Wix as well, so there is a bound; a callback above it is told to
come back, and loses nothing. The number is a choice, not a measurement: at a second for the two
questions of an install it is fifty installs a second, far more than an app has.
"""


class Callback:
    """Finishes an install at each `GET`; shared by all requests and event loops."""

    def __init__(
        self,
        *,
        settings: WixSettings,
        endpoints: Endpoints,
        signer: StateSigner,
        storage: Storage,
        installations: InstallationRepository,
        oauth: OAuthClient,
        tokens: TokenCache,
        clients: ClientFactory,
        detached: DetachedTasks,
        hooks: Hooks,
        responses: Responses,
        max_exchanges: int = MAX_EXCHANGES,
    ) -> None:
        """Ask Wix through `oauth`, with at most `max_exchanges` callbacks of the process at once.

        All other arguments are the parts of the app, and their owner closes them.
        """
        self._settings = settings
        self._endpoints = endpoints
        self._signer = signer
        self._storage = storage
        self._installations = installations
        self._oauth = oauth
        self._tokens = tokens
        self._clients = clients
        self._detached = detached
        self._hooks = hooks
        self._responses = responses
        self._code_exchange = CodeExchange(
            oauth, app_id=settings.app_id, max_exchanges=max_exchanges
        )
        self._purge = Purge(storage, detached)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as an ASGI app."""
        request = Request(scope, receive)
        response = await self._responses.answer(request, self._finish(request))
        await response(scope, receive, send)

    async def _finish(self, request: Request) -> Response:
        """Check the request, use up the state and the code, keep the installation, and answer."""
        refuse_other_methods(request, allow="GET")
        refuse_automatic_loads(request)
        query = read_query(request.scope["query_string"])
        flow = self._signer.check(query.get("state"))
        state_use = StateUse(
            self._storage, flow, self._detached, state_ttl=self._settings.state_ttl
        )
        await self._clients.ready()
        await self._check_browser(request, flow, state_use)

        async def install() -> Response:
            if "error" in query:
                await state_use.take()
                raise HandshakeRefused(Reason.DENIED)
            if not query.get("code"):
                raise HandshakeRefused(Reason.BAD_REQUEST, "there is neither a code nor an error")
            async with self._code_exchange.slot(request.scope):
                await state_use.take()
                grant = await self._code_exchange.exchange(query, state_use)
                named = query.get("instanceId")
                instance_id = await self._code_exchange.prove(grant.access_token, named)
            installation = await self._store(instance_id, grant)
            response = await self._call_on_install(installation, request)
            if self._settings.finish_setup:
                await self._finish_setup(instance_id, grant.access_token)
            # No local holds the address, in which the token may be.
            return response or self._responses.with_headers(
                RedirectResponse(self._next_url(grant.access_token), 303)
            )

        # A browser that hangs up from here on does not cost the site owner the install.
        task = self._detached.start(lambda: self._responses.answer(request, install(), ending=flow))
        response = await task.result()
        self._purge.start()
        return response

    async def _check_browser(self, request: Request, flow: Flow, state_use: StateUse) -> None:
        """Refuse every browser but the one in which the flow began."""
        cookies = read_cookies(request.scope["headers"], self._signer.cookie_prefix)
        if flow.is_bound_to(cookies):
            return
        if flow.cookie_name not in cookies and await state_use.is_taken():
            # The cookie went when the flow ended: this is a reload.
            raise HandshakeRefused(Reason.STATE_REUSED)
        raise HandshakeRefused(Reason.BROWSER_MISMATCH)

    async def _store(self, instance_id: str, grant: Grant) -> Installation:
        """Store the installation, and read it back before anybody is told of a success."""
        try:
            await self._installations.put(instance_id, grant)
            stored = await self._installations.get(instance_id)
        except StorageUnavailable as exc:
            # Not "storage_unavailable": that promises a code which is still good.
            raise HandshakeRefused(Reason.INTERNAL, "the installation was not stored") from exc
        if stored is None:
            raise HandshakeRefused(Reason.INTERNAL, "the installation is gone already")
        self._tokens.adopt(instance_id, grant.access_token)
        logger.info("installed on site %s", instance_id, extra={"instance_id": instance_id})
        return Installation(self._settings.app_id, instance_id, stored.installed_at)

    async def _call_on_install(
        self, installation: Installation, request: Request
    ) -> Response | None:
        """Call the `on_install` hooks; their request has the client of the new installation."""
        client = self._clients.for_instance(installation.instance_id)
        state = {**request.scope.get("state", {}), STATE_KEY: client}
        request = Request({**request.scope, "state": state})
        try:
            response = await self._hooks.installed(installation, request)
        except (Exception, SystemExit) as exc:
            # Each error of a hook is refused as internal: a StorageUnavailable of the app must not
            # be answered as if the code were still good. And an app's sys.exit(), in a task of
            # ours, would end the whole server.
            raise HandshakeRefused(Reason.INTERNAL, "an on_install hook raised") from exc
        return response and self._responses.with_headers(response, from_hook=True)

    async def _finish_setup(self, instance_id: str, token: AccessToken) -> None:
        """Tell Wix that the setup is finished; an event that fails costs no install."""
        try:
            await self._oauth.send_event(token, FINISHED)
        except Exception as exc:
            logger.warning(
                "%s was not sent, wix.finish_setup() can do it later: %s (site %s)",
                FINISHED,
                exc if isinstance(exc, WixError) else type(exc).__name__,
                instance_id,
                extra={"instance_id": instance_id},
            )

    def _next_url(self, token: AccessToken) -> str:
        """Return where the browser is led; only the settings choose it."""
        target = self._settings.after_install
        if target == "close":
            return self._endpoints.close_window_url(token.value)
        return self._settings.public_url + target if target.startswith("/") else target
