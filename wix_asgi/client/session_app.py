"""The sessions in front of an app: checked before its answers, begun and renewed with them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wix_asgi.client.client import STATE_KEY
from wix_asgi.identity.callers import RequestCaller

if TYPE_CHECKING:
    from wix_asgi.identity.session import Sessions

__all__ = ["SessionApp"]

_SHARED: Final = (b"public", b"s-maxage")
"""Directives by which a cache in front may give an answer to anybody (RFC 9111, 5.2.2)."""

_UNSHARED: Final = (b"private", b"no-store")
"""Directives by which no shared cache keeps an answer."""


class SessionApp:
    """An ASGI app behind the sessions of `Wix`; all requests have their client already."""

    def __init__(self, app: ASGIApp, sessions: Sessions) -> None:
        """Stand in front of `app`."""
        self._app = app
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request or websocket on; `identity` of its client need not wait any more."""
        caller = scope["state"][STATE_KEY]._caller
        await caller.prepare()
        if scope["type"] == "http":
            send = partial(self._send, scope, send, caller)
        await self._app(scope, receive, send)

    async def _send(
        self, scope: Scope, send: Send, caller: RequestCaller, message: Message
    ) -> None:
        """Send `message`; begin a session where the request has a good signed instance."""
        if message["type"] == "http.response.start" and not _has_directive(message, _SHARED):
            begun = await self._sessions.renewal(scope, caller.instances)
            lines = [(b"set-cookie", line.encode()) for line in begun]
            if lines:
                if not _has_directive(message, _UNSHARED):
                    # Shared caches may keep an answer without it (RFC 9111, 3 and 4.2.2).
                    lines.append((b"cache-control", b"private"))
                message = {**message, "headers": [*message.get("headers", ()), *lines]}
        await send(message)


def _has_directive(message: Message, directives: tuple[bytes, ...]) -> bool:
    """Return whether a Cache-Control of the answer has one of these directives."""
    return any(
        directive in value.lower()
        for name, value in message.get("headers", ())
        if name.lower() == b"cache-control"
        for directive in directives
    )
