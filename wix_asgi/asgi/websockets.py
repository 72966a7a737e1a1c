"""Refusals on websockets: closed with a code and a reason where no HTTP answer can be given.

Frameworks answer an HTTPException by HTTP, which a websocket allows until it is accepted, and some
servers do not allow at all. There the refusal is told as a close instead.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable
from typing import Final

from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from wix_asgi.errors import RequestRefused

__all__ = ["GuardedSocket", "guard"]

_POLICY_VIOLATION: Final = 1008
_TRY_AGAIN_LATER: Final = 1013
"""Codes of a close (RFC 6455, section 7.4.1, and IANA's registry of WebSocket close codes)."""

_MAX_REASON: Final = 123
"""Bytes of UTF-8 in the reason of a close: a control frame has 125, two of them for the code.

RFC 6455, sections 5.5 and 5.5.1.
"""

_ANSWER: Final = "websocket.http.response"
"""The extension of ASGI by which a websocket is answered by HTTP; its messages begin with it."""


_FRESH: Final = "fresh"
_OPEN: Final = "open"
_CLOSED: Final = "closed"
_REFUSED: Final = "refused"
"""How far a websocket has come: nothing sent, accepted, over, and over by a close of ours."""


class GuardedSocket:
    """One websocket, whose caller is told of a refusal in the way that is left.

    The app gets its `receive` and its `send`. Each websocket has one, made by `guard`, and each
    message goes through it: so `send` is as short as can be, and no coroutine of its own.
    """

    __slots__ = ("_receive", "_scope", "_send", "_state")

    _scope: Scope
    _receive: Receive
    _send: Send
    _state: str

    async def receive(self) -> Message:
        """Return the next message of the caller."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            self._state = _CLOSED
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Send a message of the app, or a close where it cannot be answered by HTTP."""
        kind = message["type"]
        if kind == "websocket.accept":
            self._state = _OPEN
        elif kind == "websocket.close":
            self._state = _CLOSED
        elif kind != "websocket.send":
            return self._send_answer(kind, message)
        return self._send(message)

    async def refuse(self, refusal: RequestRefused) -> None:
        """Tell the caller of a refusal that the app raised."""
        if self._can_answer:
            answer = PlainTextResponse(refusal.detail, refusal.status_code, refusal.headers)
            await answer(self._scope, self._receive, self._send)
        else:
            await self._close(refusal)

    @property
    def _can_answer(self) -> bool:
        return self._state == _FRESH and _ANSWER in (self._scope.get("extensions") or {})

    async def _send_answer(self, kind: str, message: Message) -> None:
        if kind.startswith(_ANSWER):
            if self._state == _REFUSED:
                return
            # A framework's answer to an error that it is handling.
            refusal = sys.exception()
            is_begun = kind == f"{_ANSWER}.start"
            if is_begun and not self._can_answer and isinstance(refusal, RequestRefused):
                await self._close(refusal)
                return
        self._state = _CLOSED
        await self._send(message)

    async def _close(self, refusal: RequestRefused) -> None:
        was_over = self._state in {_CLOSED, _REFUSED}
        self._state = _REFUSED
        if was_over:
            return
        reason = refusal.detail.encode()[:_MAX_REASON].decode(errors="ignore")
        code = _TRY_AGAIN_LATER if refusal.status_code == 503 else _POLICY_VIOLATION
        # A server may raise OSError where the caller has hung up (ASGI, "Disconnected Client").
        with contextlib.suppress(OSError):
            await self._send({"type": "websocket.close", "code": code, "reason": reason})


def guard(scope: Scope, receive: Receive, send: Send) -> GuardedSocket:
    """Return the guard of a websocket of which no message has been sent.

    Made for each websocket, so it sets the attributes itself: an `__init__` would take longer.
    """
    socket = GuardedSocket()
    socket._scope = scope
    socket._receive = receive
    socket._send = send
    socket._state = _FRESH
    return socket
