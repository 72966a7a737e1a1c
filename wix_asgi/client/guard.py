"""The guard of `require_identity`: it stands between the middleware and the app."""

from __future__ import annotations

from functools import partial
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wix_asgi.asgi.require_identity import ProtectedPaths, is_preflight
from wix_asgi.client.client import STATE_KEY, ClientFactory
from wix_asgi.client.refusals import answer_refusal
from wix_asgi.errors import RequestRefused

__all__ = ["IdentityGuard"]

_BODIES: Final = frozenset(
    {"http.response.body", "http.response.pathsend", "http.response.zerocopysend"}
)
"""Messages that bring a body, or a part of one; trailers and debug data go with it."""


class IdentityGuard:
    """Lets requests of protected paths reach the app only from a site that has it.

    A request is answered here, so that layers in front, such as a CORSMiddleware, add their headers
    to the refusal, too. The refusal of a websocket is raised, for the layer that closes it.
    """

    def __init__(self, app: ASGIApp, paths: ProtectedPaths, clients: ClientFactory) -> None:
        """Guard these paths of `app`."""
        self._app = app
        self._paths = paths
        self._clients = clients

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app, or answer why not.

        Raises:
            RequestRefused: A websocket is refused.
        """
        answer: ASGIApp = self._app
        if not self._paths.has(scope):
            pass
        elif is_preflight(scope):
            # Some apps, such as views of Django, answer every method with their data.
            send = partial(_send_headers, send)
        else:
            try:
                await self._clients.admit(scope["state"][STATE_KEY])
            except RequestRefused as refusal:
                if scope["type"] == "websocket":
                    raise
                answer = answer_refusal(scope, refusal)
        # Out here, so that no error of the app is chained to the refusal.
        await answer(scope, receive, send)


async def _send_headers(send: Send, message: Message) -> None:
    """Send the answer to a preflight, of which browsers read the headers alone."""
    if message["type"] == "http.response.start":
        kept = [pair for pair in message.get("headers", ()) if pair[0].lower() != b"content-length"]
        await send({**message, "headers": kept, "trailers": False})
    elif message["type"] in _BODIES:
        is_more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": b"", "more_body": is_more})
