"""The handshake: an install is begun, Wix asks the site owner, and the answer is taken.

Wix, "Use Advanced OAuth Settings for Authenticating Your App"; RFC 6749, 4.1; RFC 9700.
"""

from __future__ import annotations

import contextlib
import logging
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from wix_asgi.client.client import STATE_KEY, ClientFactory
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import (
    HandshakeRefused,
    Reason,
    StorageUnavailable,
    WixError,
    WixUnavailable,
)
from wix_asgi.handshake._cookies import read_cookies
from wix_asgi.handshake._query import Query, read_query
from wix_asgi.handshake._state_use import Purge, StateUse
from wix_asgi.handshake.responses import Responses
from wix_asgi.handshake.state import Flow, StateSigner
from wix_asgi.hooks import Hooks
from wix_asgi.installations.repository import InstallationRepository
from wix_asgi.models import AccessToken, Grant, Installation
from wix_asgi.oauth.client import OAuthClient
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.settings import WixSettings
from wix_asgi.storage import Storage
from wix_asgi.tokens.cache import TokenCache

__all__ = ["FINISHED", "MAX_EXCHANGES", "Handshake", "Parts"]

logger = logging.getLogger("wix_asgi")

FINISHED: Final = "APP_FINISHED_CONFIGURATION"
# Codes that are made up reach Wix as well: so many at once, and the others are told to wait.
MAX_EXCHANGES: Final = 50
# A browser sends about 8 kB of headers at most: abandoned installs may not fill them.
_MAX_PENDING: Final = 16
# How the names of our cookies end; an app may have others that begin as ours do.
_FLOW_ID: Final = re.compile(r"[0-9a-f]{16}")
# What a person's click looks like; images, scripts and prefetches are something else.
_NAVIGATIONS: Final = frozenset({"document", "iframe", "frame", "fencedframe"})
_PREVIEW_BOT: Final = re.compile(
    r"(slack|twitter|linkedin|discord|telegram|google|bing|apple|mastodon)bot"
    r"|facebookexternalhit|whatsapp/|skypeuripreview|bingpreview",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the handshake is made of."""

    settings: WixSettings
    endpoints: Endpoints
    signer: StateSigner
    storage: Storage
    installations: InstallationRepository
    oauth: OAuthClient
    tokens: TokenCache
    clients: ClientFactory
    detached: DetachedTasks
    hooks: Hooks
    answers: Responses


class Handshake:
    """Answers the install path and the callback path; shared by all requests and event loops."""

    def __init__(self, parts: Parts) -> None:
        """Work with `parts`, which are their owner's to close."""
        self._parts = parts
        self._answers = parts.answers
        self._purge = Purge(parts.storage, parts.detached)
        # Not anyio's, which are for one event loop. Nobody waits for it.
        self._places_at_wix = threading.BoundedSemaphore(MAX_EXCHANGES)

    async def install(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Begin an install: send the browser to Wix, bound to a state of its own."""
        await self._serve(self._begin, Request(scope, receive), send)

    async def callback(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Finish an install: take Wix's answer, once."""
        await self._serve(self._end, Request(scope, receive), send)

    async def _serve(
        self, answer: Callable[[Request], Awaitable[Response]], request: Request, send: Send
    ) -> None:
        response = await _outcome(answer(request))
        if isinstance(response, Exception):
            response = await self._answers.refuse(request, response)
        await response(request.scope, request.receive, send)

    async def _begin(self, request: Request) -> Response:
        if request.method == "HEAD":
            return self._answers.dress(Response())
        _refuse_other_methods(request, allow="GET, HEAD")
        _refuse_automatic_loads(request)
        token = read_query(request.scope["query_string"]).get("token") or None
        flow = self._parts.signer.mint()
        location = self._parts.endpoints.installer_url(flow.state, token)
        response = self._answers.dress(RedirectResponse(location, 303))
        self._drop_oldest(request, response)
        self._answers.bind(response, flow)
        return response

    def _drop_oldest(self, request: Request, response: Response) -> None:
        prefix = self._parts.signer.cookie_prefix
        pending = [
            name
            for name in read_cookies(request.scope["headers"], prefix)
            if _FLOW_ID.fullmatch(name.removeprefix(prefix))
        ]
        for name in pending[: max(0, len(pending) + 1 - _MAX_PENDING)]:
            self._answers.unbind(response, name)

    async def _end(self, request: Request) -> Response:
        _refuse_other_methods(request, allow="GET")
        _refuse_automatic_loads(request)
        query = read_query(request.scope["query_string"])
        flow = self._parts.signer.check(query.get("state"))
        await self._parts.clients.ready()
        await self._check_browser(flow, request)
        # A browser that hangs up now must not cost the site owner the install.
        flight = self._parts.detached.start(lambda: self._settle(request, query, flow))
        response = await flight.result()
        self._purge.start()
        return response

    async def _check_browser(self, flow: Flow, request: Request) -> None:
        cookies = read_cookies(request.scope["headers"], self._parts.signer.cookie_prefix)
        if flow.is_bound_to(cookies):
            return
        if flow.cookie_name not in cookies and await self._claim(flow).is_taken():
            # The cookie went when the flow ended: this is a reload.
            raise HandshakeRefused(Reason.STATE_REUSED)
        raise HandshakeRefused(Reason.BROWSER_MISMATCH)

    def _claim(self, flow: Flow) -> StateUse:
        parts = self._parts
        return StateUse(parts.storage, flow, parts.detached, state_ttl=parts.settings.state_ttl)

    async def _settle(self, request: Request, query: Query, flow: Flow) -> Response:
        response = await _outcome(self._complete(request, query, self._claim(flow)))
        if isinstance(response, Exception):
            again = _may_come_again(response)
            response = await self._answers.refuse(request, response)
            if again:
                return response
        self._answers.unbind(response, flow.cookie_name)
        return response

    async def _complete(self, request: Request, query: Query, claim: StateUse) -> Response:
        if not query.get("code") and "error" not in query:
            raise HandshakeRefused(Reason.BAD_REQUEST, "there is neither a code nor an error")
        if "error" in query:
            await claim.take()
            raise HandshakeRefused(Reason.DENIED)
        instance_id, grant = await self._ask_wix(query, claim)
        installation = await self._keep(instance_id, grant)
        response = await self._tell_app(installation, request)
        if self._parts.settings.finish_setup:
            await self._finish_setup(instance_id, grant.access_token)
        return response or self._answers.dress(
            RedirectResponse(self._next(grant.access_token), 303)
        )

    async def _ask_wix(self, query: Query, claim: StateUse) -> tuple[str, Grant]:
        """Use up the state and the code, in this order; return for which installation."""
        with self._place_at_wix():
            await claim.take()
            grant = await self._exchange(query, claim)
            return await self._prove(grant.access_token, query.get("instanceId")), grant

    @contextlib.contextmanager
    def _place_at_wix(self) -> Iterator[None]:
        if not self._places_at_wix.acquire(blocking=False):
            raise WixUnavailable("too many installs are at Wix already", unsent=True)
        try:
            yield
        finally:
            self._places_at_wix.release()

    async def _exchange(self, query: Query, claim: StateUse) -> Grant:
        try:
            # No local of ours holds the code: a traceback with locals shows no secret.
            grant = await self._parts.oauth.exchange(query["code"])
        except WixUnavailable as exc:
            if exc.unsent:
                # The code is as good as before, so the same address may be loaded again.
                await claim.give_back()
            raise
        if grant.refresh_token is None:
            raise HandshakeRefused(Reason.EXCHANGE_REJECTED, "no refresh token was granted")
        return grant

    async def _prove(self, token: AccessToken, named: str | None) -> str:
        """Return the installation the token is for, which must be the one the callback names."""
        try:
            info = await self._parts.oauth.token_info(token.value)
        except WixUnavailable as exc:
            # This question may be repeated, but the code is spent: not `unsent`.
            raise WixUnavailable(exc.message, asked=exc.asked) from exc
        app_id = self._parts.settings.app_id
        if not info.active or info.client_id != app_id or info.instance_id is None:
            raise HandshakeRefused(Reason.INSTANCE_MISMATCH, "the token is not this app's")
        if named is not None and named != info.instance_id:
            raise HandshakeRefused(Reason.INSTANCE_MISMATCH, "the token is another site's")
        return info.instance_id

    async def _keep(self, instance_id: str, grant: Grant) -> Installation:
        """Store the installation, and read it back before anybody is told of a success."""
        try:
            await self._parts.installations.put(instance_id, grant)
            stored = await self._parts.installations.get(instance_id)
        except StorageUnavailable as exc:
            # Not "storage_unavailable": that promises a code which is still good.
            raise HandshakeRefused(Reason.INTERNAL, "the installation was not stored") from exc
        if stored is None:
            raise HandshakeRefused(Reason.INTERNAL, "the installation is gone already")
        self._parts.tokens.adopt(instance_id, grant.access_token)
        app_id = self._parts.settings.app_id
        logger.info("installed", extra={"instance_id": instance_id})
        return Installation(app_id, instance_id, stored.installed_at)

    async def _tell_app(self, installation: Installation, request: Request) -> Response | None:
        client = self._parts.clients.for_instance(installation.instance_id)
        state = {**request.scope.get("state", {}), STATE_KEY: client}
        request = Request({**request.scope, "state": state})
        try:
            response = await self._parts.hooks.installed(installation, request)
        except (Exception, SystemExit) as exc:
            # Whatever it is, it must not be told apart as if the code were still good; and an
            # app's sys.exit(), in a task of ours, would end the whole server.
            raise HandshakeRefused(Reason.INTERNAL, "an on_install hook raised") from exc
        return response and self._answers.dress(response, from_hook=True)

    async def _finish_setup(self, instance_id: str, token: AccessToken) -> None:
        try:
            await self._parts.oauth.send_event(token, FINISHED)
        except Exception as exc:
            logger.warning(
                "%s was not sent, wix.finish_setup() can do it later: %s",
                FINISHED,
                exc if isinstance(exc, WixError) else type(exc).__name__,
                extra={"instance_id": instance_id},
            )

    def _next(self, token: AccessToken) -> str:
        target = self._parts.settings.after_install
        if target == "close":
            return self._parts.endpoints.close_window_url(token.value)
        return self._parts.settings.public_url + target if target.startswith("/") else target


def _refuse_other_methods(request: Request, *, allow: str) -> None:
    if request.method != "GET":
        raise HandshakeRefused(
            Reason.BAD_REQUEST, "the method is not allowed", status=405, headers={"Allow": allow}
        )


def _refuse_automatic_loads(request: Request) -> None:
    """Refuse what no person asked for, before it can use anything up."""
    headers = request.headers
    purpose = headers.get("Sec-Purpose", "") + headers.get("Purpose", "") + headers.get("X-Moz", "")
    if (
        "prefetch" in purpose.lower()
        or headers.get("Sec-Fetch-Dest", "document") not in _NAVIGATIONS
        or _PREVIEW_BOT.search(headers.get("User-Agent", ""))
    ):
        raise HandshakeRefused(Reason.BAD_REQUEST, "not a person's navigation")


async def _outcome(work: Awaitable[Response]) -> Response | Exception:
    """Return what `work` raised: what is answered to it must not be chained to it in a log."""
    try:
        return await work
    except Exception as exc:
        return exc


def _may_come_again(exc: Exception) -> bool:
    """Whether loading the same address again can still succeed."""
    if isinstance(exc, HandshakeRefused):
        # A state that is in use is the other load's, which may have to give it back.
        return exc.reason in {Reason.BAD_REQUEST, Reason.STATE_REUSED}
    return isinstance(exc, StorageUnavailable) or (isinstance(exc, WixUnavailable) and exc.unsent)
