"""Refusals on websockets: closed with a code and a reason where no HTTP answer can be given.

Frameworks answer an HTTPException by HTTP, which a websocket allows until it is accepted, and some
servers do not allow at all. There the refusal is told as a close instead.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Final

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wix_asgi.errors import RequestRefused

__all__ = ["refusing_websocket"]

_POLICY_VIOLATION: Final = 1008
_TRY_AGAIN_LATER: Final = 1013
"""Codes of a close (RFC 6455, section 7.4.1, and IANA's registry of WebSocket close codes)."""

_MAX_REASON: Final = 123
"""Bytes of UTF-8 in the reason of a close: a control frame has 125, two of them for the code.

RFC 6455, sections 5.5 and 5.5.1.
"""

_ANSWER: Final = "websocket.http.response"
"""The extension of ASGI by which a websocket is answered by HTTP; its messages begin with it."""


async def refusing_websocket(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Call `app` with a websocket, and tell its caller of a refusal in the way that is left.

    Raises:
        Exception: Any error of the app but a refusal.
    """
    socket = _Socket(scope, receive, send)
    try:
        await app(scope, socket.receive, socket.send)
    except RequestRefused as refusal:
        await socket.refuse(refusal)


class _Socket:
    """One websocket, as far as it has come."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._can_answer = _ANSWER in (scope.get("extensions") or {})
        self._is_closed = self._is_refused = False

    async def receive(self) -> Message:
        """Return the next message of the caller."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._is_closed, self._can_answer = True, False
        return message

    async def send(self, message: Message) -> None:
        """Send a message of the app, or a close where it cannot be answered by HTTP."""
        kind = message["type"]
        if self._is_refused and kind.startswith(_ANSWER):
            return
        if kind == f"{_ANSWER}.start" and not self._can_answer:
            # A framework's answer to an error that it is handling.
            refusal = sys.exception()
            if isinstance(refusal, RequestRefused):
                await self._close(refusal)
                return
        if kind != "websocket.send":
            self._can_answer = False
            self._is_closed = kind != "websocket.accept"
        await self._send(message)

    async def refuse(self, refusal: RequestRefused) -> None:
        """Tell the caller of a refusal that the app raised."""
        if self._can_answer:
            answer = PlainTextResponse(refusal.detail, refusal.status_code, refusal.headers)
            await answer(self._scope, self._receive, self._send)
        else:
            await self._close(refusal)

    async def _close(self, refusal: RequestRefused) -> None:
        self._is_refused = True
        if self._is_closed:
            return
        self._is_closed = True
        reason = refusal.detail.encode()[:_MAX_REASON].decode(errors="ignore")
        code = _TRY_AGAIN_LATER if refusal.status_code == 503 else _POLICY_VIOLATION
        # A server may raise OSError where the caller has hung up (ASGI, "Disconnected Client").
        with contextlib.suppress(OSError):
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
