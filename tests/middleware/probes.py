"""An app that keeps the scopes a middleware lets through, and scopes as servers make them."""

from __future__ import annotations

from typing import Any

from starlette.types import Message, Receive, Scope, Send

INSTALL, CALLBACK = "/wix/install", "/wix/callback"


class Probe:
    """An ASGI app that answers 204, and keeps the scopes of its calls."""

    def __init__(self) -> None:
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scopes.append(scope)
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})


def http_scope(path: str, **more: Any) -> Scope:
    """Return the scope of a GET, as servers make it."""
    return {
        "type": "http",
        "method": "GET",
        "scheme": "https",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"app.example.com")],
        **more,
    }


async def call(app: Any, scope: Scope) -> list[Message]:
    """Call `app` with an empty body; return the messages that it sends."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def is_ours(app: Any, scope: Scope) -> bool:
    """Whether the middleware answers this scope itself."""
    status: int = (await call(app, scope))[0]["status"]
    return status != 204
