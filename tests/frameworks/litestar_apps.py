"""A Litestar app with the plugin, and callers of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, WebSocket, get, websocket
from starlette.types import Message

from tests.support import PUBLIC_URL
from wix_asgi._http import httpx
from wix_asgi.litestar import WixDep, WixPlugin

PAGE = {"Accept": "text/html,*/*;q=0.8"}
UNLOGGED: Any = {"logging_config": None}


@get("/echo")
async def echo(wix: WixDep, request: Request[Any, Any, Any]) -> Any:
    """Call Wix as the calling site."""
    assert wix is request.state.wix
    return (await wix.get("/x")).json()


@get("/free")
async def free() -> str:
    """Need no caller."""
    return "free"


@websocket("/ws")
async def talk(socket: WebSocket[Any, Any, Any], wix: WixDep) -> None:
    """Tell the calling site before anything else."""
    identity = await wix.identify()
    await socket.accept()
    await socket.send_text(identity.instance_id)
    await socket.close()


def make_litestar(plugin: WixPlugin, *handlers: Any, **options: Any) -> Any:
    """Return a Litestar app with the plugin; Starlette's types are other ones."""
    handlers = (echo, free, talk, *handlers)
    return Litestar(handlers, plugins=[plugin], **UNLOGGED, **options)


@asynccontextmanager
async def browse(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Run the app, and return a browser at its address."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with app.lifespan(), httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as http:
        yield http


async def connect(app: Any, path: str, query: str = "") -> list[Message]:
    """Open a websocket of the app; return what it is told."""
    told: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        told.append(message)

    scope = {
        "type": "websocket",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [],
        "subprotocols": [],
        "extensions": {"websocket.http.response": {}},
    }
    await app(scope, receive, send)
    return told
