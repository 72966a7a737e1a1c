"""Native connections of tests, and requests for them."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint

from tests.limits import PATIENCE
from tests.transport.test_pool_over_the_wire import Connected, Handler, Server
from wix_asgi._http import httpx
from wix_asgi.transport.native import NativeConnection
from wix_asgi.transport.policy import PoolPolicy
from wix_asgi.transport.pooled import httpx_connector

__all__ = ["OK", "Wire", "native", "read", "request_of", "saying", "until_hung_up"]

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def native(context: ssl.SSLContext | None = None) -> AsyncIterator[NativeConnection]:
    """Give a native connection that is not opened yet, and close it."""

    def make_context() -> ssl.SSLContext:
        assert context is not None
        return context

    connection = NativeConnection(make_context, httpx_connector(PoolPolicy()))
    try:
        yield connection
    finally:
        await connection.aclose()


class Wire(asyncio.Transport):
    """A transport whose far end is the test.

    Attributes:
        done: What the connection has asked of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.done: list[str] = []

    def abort(self) -> None:
        self.done.append("abort")

    def pause_reading(self) -> None:
        self.done.append("pause")

    def resume_reading(self) -> None:
        self.done.append("resume")


async def read(connection: NativeConnection, request: httpx.Request) -> bytes:
    """Send a request, and return the body of its answer."""
    response = await connection.handle_async_request(request)
    return await response.aread()


def request_of(url: str, method: str = "GET", **options: Any) -> httpx.Request:
    """Return a request with patience; `read` and its like give it less of one sort."""
    limits = dict.fromkeys(("connect", "read", "write", "pool"), PATIENCE)
    for name in limits:
        limits[name] = options.pop(name, PATIENCE)
    extensions = {"timeout": limits, **options.pop("extensions", {})}
    return httpx.Request(method, url, extensions=extensions, **options)


def saying(*answers: bytes) -> Handler:
    """Return a handler that gives these answers to the requests of a connection, and hangs up."""

    async def answer(server: Server, connected: Connected) -> None:
        for raw in answers:
            if await server.head(connected):
                await connected.stream.send(raw)

    return answer


async def until_hung_up(response: httpx.Response) -> None:
    """Wait until the connection of this answer is over."""
    with anyio.fail_after(PATIENCE):
        while not response.extensions["network_stream"].get_extra_info("is_readable"):
            await checkpoint()
