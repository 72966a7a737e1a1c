"""The cost of the middleware for what passes through it, and of the client's first use.

In process, without a server. The yardsticks are the least that a pure ASGI middleware can do (copy
the scope and set one key of its state), and an `AsyncClient` on a transport that is there already.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, Final

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.ours import make_wix
from benchmarks.rounds import OURS, Comparison, Plan, Turn, at_most, in_loop, meter, take_turns
from wix_asgi import Wix, WixMiddleware
from wix_asgi._http import httpx

__all__ = ["measure"]

HTTP: Final[dict[str, Any]] = {
    "type": "http",
    "asgi": {"version": "3.0", "spec_version": "2.3"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": "/products",
    "raw_path": b"/products",
    "query_string": b"",
    "root_path": "",
    "headers": [(b"host", b"app.example.com"), (b"accept", b"*/*")],
    "client": ("127.0.0.1", 50_000),
    "server": ("127.0.0.1", 8_000),
    "state": {},
}
WEBSOCKET: Final = {**HTTP, "type": "websocket", "scheme": "ws", "subprotocols": []}


class Minimal:
    """The least: copy the scope, set one key of its state."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.value = object()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        scope = dict(scope)
        scope["state"] = {**scope.get("state", {}), "wix": self.value}
        await self.app(scope, receive, send)


class Base(BaseHTTPMiddleware):
    """The same by Starlette's BaseHTTPMiddleware, for scale."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        request.state.wix = self
        return await call_next(request)


async def _app(scope: Scope, _receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_message: Any) -> None: ...


async def added(app: ASGIApp, scope: dict[str, Any], times: int) -> dict[str, float]:
    """Return what a middleware adds to the app beneath it, in microseconds.

    Each request has a state of its own, as servers make it (ASGI, "Lifespan State"): a state that
    has been through a middleware already is a rare case, which costs more.
    """
    nothing = meter()
    for _ in range(times):
        scope["state"] = {}
        await _app(scope, _receive, _send)
    without = nothing.read(times)
    measured = meter()
    for _ in range(times):
        scope["state"] = {}
        await app(scope, _receive, _send)
    found = measured.read(times)
    return {name: cost - without[name] for name, cost in found.items()}


def passing(wix: Wix, scope: dict[str, Any], plan: Plan) -> dict[str, Turn]:
    """Return the turns of all middlewares for one kind of scope."""
    times = plan.count(full=20_000, quick=5_000)
    turns: dict[str, Turn] = {
        OURS: partial(added, WixMiddleware(_app, wix), scope, times),
        "minimal": partial(added, Minimal(_app), scope, times),
    }
    if scope["type"] == "http":
        turns["BaseHTTPMiddleware"] = partial(added, Base(_app), scope, times // 50)
    return turns


def first_uses(wix: Wix, plan: Plan) -> dict[str, Turn]:
    """Return the turns of the client's first use."""
    times = plan.count(full=2_000, quick=1_000)
    transport = httpx.AsyncHTTPTransport()

    async def ours() -> dict[str, float]:
        measured = meter()
        for _ in range(times):
            wix.client("site").headers  # noqa: B018 - asking for it builds the httpx part
        return measured.read(times)

    async def shared() -> dict[str, float]:
        measured = meter()
        for _ in range(times):
            httpx.AsyncClient(transport=transport)
        return measured.read(times)

    async def alone() -> dict[str, float]:
        measured = meter()
        for _ in range(5):
            await httpx.AsyncClient().aclose()
        return measured.read(5)

    return {OURS: ours, "AsyncClient, shared transport": shared, "AsyncClient of its own": alone}


async def rows(plan: Plan) -> AsyncIterator[Comparison]:
    """Measure in one loop."""
    wix = make_wix()
    for scope in (HTTP, WEBSOCKET):
        for found in await take_turns(
            passing(wix, scope, plan),
            plan,
            label=f"added to a {'request' if scope is HTTP else 'websocket'} that passes",
            units={"cpu": "us of CPU"},
            goals={"minimal": at_most(1.5)},
        ):
            yield found
    for found in await take_turns(
        first_uses(wix, plan),
        plan,
        label="first use of the client",
        units={"cpu": "us of CPU"},
        goals={"AsyncClient, shared transport": at_most(1.0)},
    ):
        yield found


def measure(plan: Plan) -> Iterator[Comparison]:
    """Give each row."""
    return in_loop(rows(plan))
