"""Browsers that leave while an app streams an answer of Wix to them."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest
import uvicorn
from anyio.lowlevel import checkpoint
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.limits import PATIENCE
from tests.transport.test_pool_over_the_wire import Connected, Server, client_of, serving
from wix_asgi._http import httpx
from wix_asgi.transport.policy import PoolPolicy
from wix_asgi.transport.pooled import PoolTransport

SIZE = 2
"""Connections of the pool."""


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as uvicorn does."""
    return "asyncio"


class _Passing(BaseHTTPMiddleware):
    """Passes everything on, as any middleware of this kind may."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)


async def endless_or_short(server: Server, connected: Connected) -> None:
    """Answer `/short` at once, and everything else with a body that never ends."""
    while head := await server.head(connected):
        if head.startswith(b"GET /short"):
            await connected.stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            continue
        try:
            await connected.stream.send(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                await connected.stream.send(b"x" * 1000)
                await anyio.sleep(0.001)
        except anyio.BrokenResourceError:
            return


@asynccontextmanager
async def streaming_app(client: httpx.AsyncClient, url: str) -> AsyncIterator[int]:
    """Serve an app that streams an answer of `url`; give its port."""

    async def stream(_: Request) -> Response:
        answer = await client.send(client.build_request("GET", url), stream=True)
        return StreamingResponse(answer.aiter_bytes())

    app = Starlette(routes=[Route("/", stream)], middleware=[Middleware(_Passing)])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        with anyio.fail_after(PATIENCE):
            while not server.started:
                await checkpoint()
        yield server.servers[0].sockets[0].getsockname()[1]
        server.should_exit = server.force_exit = True


async def test_browsers_that_leave_cost_no_slot() -> None:
    """The app answers after more of them have left than the pool has connections."""
    pool = PoolTransport(PoolPolicy(max_connections=SIZE))
    async with (
        serving(endless_or_short) as wix,
        client_of(pool) as client,
        streaming_app(client, wix.url) as port,
    ):
        for _ in range(2 * SIZE):
            async with await anyio.connect_tcp("127.0.0.1", port) as browser:
                await browser.send(b"GET / HTTP/1.1\r\nHost: app\r\n\r\n")
                await browser.receive()
            # No collector of this process may come for as long as nothing is going on in it.
            gc.collect()
        with anyio.fail_after(PATIENCE):
            while pool.in_flight:
                gc.collect()
                await checkpoint()
        answer = await client.get(f"{wix.url}/short")

        assert "ok" == answer.text
        assert pool.idle <= SIZE
