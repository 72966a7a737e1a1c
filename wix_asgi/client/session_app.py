"""The sessions in front of an app: checked before its answers, begun and renewed with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wix_asgi.client.client import STATE_KEY
from wix_asgi.identity.callers import Headers, RequestCaller

if TYPE_CHECKING:
    from wix_asgi.identity.session import Sessions

__all__ = ["SessionApp", "session_headers"]

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
        if message["type"] == "http.response.start":
            headers = message.get("headers", ())
            begun = await session_headers(self._sessions, scope, caller.instances, headers)
            if begun:
                message = {**message, "headers": [*headers, *begun]}
        await send(message)


async def session_headers(
    sessions: Sessions, scope: Scope, values: Sequence[str], headers: Iterable[tuple[bytes, bytes]]
) -> Headers:
    """Return what begins a session in the answer with these headers; nothing where none begins.

    `values` are the signed instances of the request.
    """
    if _has_directive(headers, _SHARED):
        return []
    begun = [(b"set-cookie", line.encode()) for line in await sessions.renewal(scope, values)]
    if begun and not _has_directive(headers, _UNSHARED):
        # Shared caches may keep an answer without it (RFC 9111, 3 and 4.2.2).
        begun.append((b"cache-control", b"private"))
    return begun


def _has_directive(headers: Iterable[tuple[bytes, bytes]], directives: tuple[bytes, ...]) -> bool:
    """Return whether a Cache-Control of the answer has one of these directives."""
    return any(
        directive in value.lower()
        for name, value in headers
        if name.lower() == b"cache-control"
        for directive in directives
    )
