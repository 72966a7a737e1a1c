"""An app in which requests meet, and tell whose client and state each of them has."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from wix_asgi import WixClient, WixMiddleware, get_wix

__all__ = ["APP", "SITE_HEADER", "Meetings", "app", "meet", "name_site"]

APP = "tests.processes.meeting:app"
SITE_HEADER = "x-site"


def site_in(state: Any) -> str | None:
    """Return the site for which the client in this state works."""
    identity = state["wix"].identity
    return identity.instance_id if identity else None


class InFront:
    """A middleware that looks at the state before the app and after it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._changed = asyncio.Condition()
        self.clients_before = 0
        self.written: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the app."""
        before = scope.get("state") or {}
        self.clients_before += any(isinstance(value, WixClient) for value in before.values())
        await self._app(scope, receive, send)
        async with self._changed:
            self.written += [name for name in scope.get("state") or {} if name.startswith("of ")]
            self._changed.notify_all()

    async def report(self, expected: int) -> dict[str, Any]:
        """Return the values that were seen, once `expected` requests are over."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.written) >= expected)
        return {"before": self.clients_before, "written": self.written, "after": meetings.told}


class Meetings:
    """The meetings, by name: each is over when all expected requests have come."""

    def __init__(self) -> None:
        self._arrived: dict[str, int] = {}
        self._over: dict[str, asyncio.Event] = {}
        self.told: list[list[str | None]] = []

    async def attend(self, connection: HTTPConnection, prefix: str = "") -> None:
        """Return once all requests have come to the meeting that the query names."""
        name = prefix + connection.query_params["meeting"]
        over = self._over.setdefault(name, asyncio.Event())
        self._arrived[name] = self._arrived.get(name, 0) + 1
        if self._arrived[name] == int(connection.query_params["of"]):
            over.set()
        await over.wait()


meetings = Meetings()


async def meet(connection: HTTPConnection, meetings: Meetings) -> dict[str, Any]:
    """Tell whose client and state this request has, before a meeting and after it."""
    site = connection.headers[SITE_HEADER]
    state = connection.scope["state"]
    told = {"site": site, "leftovers": [name for name in state if name.startswith("of ")]}
    state[f"of {site}"] = True
    clients = [site_in(state)]
    await meetings.attend(connection)
    clients += [site_in(state), site_in(connection.scope["state"])]
    return {**told, "clients": clients, "lifespan": state.get("lifespan")}


async def page(request: Request) -> Response:
    """Meet, and once more when the answers are sent."""

    async def later() -> None:
        await meetings.attend(request, "after ")
        meetings.told.append([request.headers[SITE_HEADER], site_in(request.scope["state"])])

    return JSONResponse(await meet(request, meetings), background=BackgroundTask(later))


async def talk(websocket: WebSocket) -> None:
    """Meet, on a websocket."""
    await websocket.accept()
    await websocket.send_text(json.dumps(await meet(websocket, meetings)))
    await websocket.close()


async def refused(websocket: WebSocket) -> None:
    """Use the client of nobody, after the socket was accepted where the path says so."""
    if websocket.url.path == "/refused/accepted":
        await websocket.accept()
    await get_wix(websocket).identify()


async def report(request: Request) -> Response:
    """Answer with the values that the middleware in front saw, and tasks after the answers."""
    return JSONResponse(await app.report(int(request.query_params["of"])))


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
    """Give each request a value of the app's own."""
    yield {"lifespan": "lifespan"}


def name_site(connection: HTTPConnection) -> str | None:
    """Return the site that the request names."""
    return connection.headers.get(SITE_HEADER)


app = InFront(
    Starlette(
        routes=[
            Route("/page", page),
            Route("/report", report),
            WebSocketRoute("/talk", talk),
            WebSocketRoute("/refused/{when}", refused),
        ],
        middleware=[Middleware(WixMiddleware, resolve_identity=name_site)],
        lifespan=lifespan,
    )
)
