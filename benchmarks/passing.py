"""The cost of the middleware for a request without a call, and of the client's first use.

In process, without a server. The yardstick is the least a pure ASGI middleware can do: copy the
scope and set one key of its state. The result is the ratios of one run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from statistics import median
from time import perf_counter
from typing import Any

from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from wix_asgi import Wix, WixMiddleware
from wix_asgi._http import httpx

__all__ = ["measure", "report"]

ROUNDS, REQUESTS, PLAIN_CLIENTS, FIRST_USES = 15, 20_000, 10, 2_000
SCOPE: dict[str, Any] = {
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


async def _app(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_message: Any) -> None: ...


async def _microseconds(app: ASGIApp, requests: int) -> float:
    began = perf_counter()
    for _ in range(requests):
        await app(SCOPE, _receive, _send)
    return (perf_counter() - began) / requests * 1e6


async def _each(work: Callable[[], Awaitable[object]], times: int) -> float:
    began = perf_counter()
    for _ in range(times):
        await work()
    return (perf_counter() - began) / times * 1e6


async def _run() -> dict[str, float]:
    wix = Wix(
        app_id="benchmark",
        app_secret="benchmark-app-secret",  # noqa: S106 - of nothing
        public_url="http://127.0.0.1",
        storage="memory://",
    )

    async def plain() -> None:
        await httpx.AsyncClient().aclose()

    async def first_use() -> None:
        wix.client("site").headers  # noqa: B018 - asking for it builds the httpx part

    apps: dict[str, tuple[ASGIApp, int]] = {
        "nothing": (_app, REQUESTS),
        "minimal": (Minimal(_app), REQUESTS),
        "wix": (WixMiddleware(_app, wix), REQUESTS),
        "base": (Base(_app), REQUESTS // 100),
    }
    times: dict[str, list[float]] = {name: [] for name in [*apps, "plain_client", "first_use"]}
    for _ in range(ROUNDS):
        for name, (app, requests) in apps.items():
            times[name].append(await _microseconds(app, requests))
        times["plain_client"].append(await _each(plain, PLAIN_CLIENTS))
        times["first_use"].append(await _each(first_use, FIRST_USES))
    return {name: median(values) for name, values in times.items()}


def measure() -> dict[str, float]:
    """Run all rounds, some 20 s; microseconds and ratios by name."""
    figures = asyncio.run(_run())
    added = {name: figures[name] - figures["nothing"] for name in ("minimal", "wix", "base")}
    return figures | {
        "wix_to_minimal": added["wix"] / added["minimal"],
        "wix_to_base": added["wix"] / added["base"],
        "plain_client_to_first_use": figures["plain_client"] / figures["first_use"],
    }


def report(figures: dict[str, float]) -> str:
    """Return the table that `python -m benchmarks` prints."""
    nothing = figures["nothing"]
    rows = [
        f"{'added to a request by':34}{'us':>9}",
        *(f"  {name:32}{figures[name] - nothing:9.2f}" for name in ("minimal", "wix", "base")),
        (
            f"  wix is {figures['wix_to_minimal']:.2f} x minimal (goal <= 1.5), "
            f"1/{1 / figures['wix_to_base']:.0f} of BaseHTTPMiddleware"
        ),
        (
            f"first use of the client {figures['first_use']:.1f} us, httpx.AsyncClient() and "
            f"aclose() {figures['plain_client']:.0f} us: "
            f"1/{figures['plain_client_to_first_use']:.0f} (goal <= 1/300)"
        ),
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    print(report(measure()))
