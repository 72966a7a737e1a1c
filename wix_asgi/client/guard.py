"""The guard of `require_identity`: it stands between the middleware and the app."""

from __future__ import annotations

import logging
import secrets
from functools import partial
from typing import Final

from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wix_asgi.asgi.request_headers import read_headers
from wix_asgi.asgi.require_identity import ProtectedPaths, is_preflight
from wix_asgi.client.client import STATE_KEY, ClientFactory
from wix_asgi.errors import NotInstalled, StorageUnavailable, Unauthenticated, WixUnavailable
from wix_asgi.pages.callers import NOT_INSTALLED, STORAGE_UNAVAILABLE, WIX_UNAVAILABLE, caller_page
from wix_asgi.pages.headers import PRIVATE, page_policy

__all__ = ["IdentityGuard"]

logger = logging.getLogger("wix_asgi")

_REFUSALS: Final = (NotInstalled, StorageUnavailable, Unauthenticated, WixUnavailable)

_BODIES: Final = frozenset(
    {"http.response.body", "http.response.pathsend", "http.response.zerocopysend"}
)
"""Messages that bring a body, or a part of one; trailers and debug data go with it."""


class IdentityGuard:
    """Lets requests of protected paths reach the app only from a site that has it.

    A request is answered here, so that layers in front, such as a CORSMiddleware, add their headers
    to the refusal, too. The refusal of a websocket is raised, for the layer that closes it.
    """

    def __init__(
        self, app: ASGIApp, paths: ProtectedPaths, clients: ClientFactory, *, wix_url: str
    ) -> None:
        """Guard these paths of `app`; `wix_url` is the origin that may frame our pages."""
        self._app = app
        self._paths = paths
        self._clients = clients
        self._policy = page_policy(wix_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app, or answer why not.

        Raises:
            Unauthenticated, NotInstalled, WixUnavailable, StorageUnavailable: A websocket is
                refused.
        """
        answer = self._app
        if not self._paths.has(scope):
            pass
        elif is_preflight(scope):
            # Some apps, such as views of Django, answer every method with their data.
            send = partial(_send_headers, send)
        else:
            try:
                await self._clients.admit(scope["state"][STATE_KEY])
            except _REFUSALS as refusal:
                if scope["type"] == "websocket":
                    raise
                answer = self._answer(scope, refusal)
        # Out here, so that no error of the app is chained to the refusal.
        await answer(scope, receive, send)

    def _answer(self, scope: Scope, refusal: HTTPException) -> Response:
        code, incident = _code(refusal), secrets.token_hex(6)
        # Anybody can cause it, and each reason has a line of its own already (`RefusalLog`).
        logger.debug("a request was refused: %s (incident %s)", code, incident)
        headers = {**PRIVATE, "Content-Security-Policy": self._policy, **(refusal.headers or {})}
        (accept,) = read_headers(scope, b"accept")
        if "text/html" in accept.lower():
            return HTMLResponse(caller_page(code, incident), refusal.status_code, headers)
        body = {"error": code, "message": refusal.detail, "incident": incident}
        return JSONResponse(body, refusal.status_code, headers)


async def _send_headers(send: Send, message: Message) -> None:
    """Send the answer to a preflight, of which browsers read the headers alone."""
    if message["type"] == "http.response.start":
        kept = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"content-length"]
        await send({**message, "headers": kept, "trailers": False})
    elif message["type"] in _BODIES:
        is_more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": b"", "more_body": is_more})


def _code(refusal: HTTPException) -> str:
    match refusal:
        case Unauthenticated():
            return refusal.reason.value
        case NotInstalled():
            return NOT_INSTALLED
        case WixUnavailable():
            return WIX_UNAVAILABLE
    return STORAGE_UNAVAILABLE
