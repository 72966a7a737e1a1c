"""The transports that the corpus judges, and a server that answers byte for byte."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.limits import PATIENCE
from tests.transport.corpus.cases import Outcome, Read, Refused
from tests.transport.test_pool_over_the_wire import Connected, Server, serving
from wix_asgi._http import httpx
from wix_asgi.transport.policy import PoolPolicy
from wix_asgi.transport.pooled import PoolTransport, httpx_connector

MakeTransport: TypeAlias = Callable[[PoolPolicy], PoolTransport]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """A transport on an event loop.

    Attributes:
        parser: The library that reads its answers.
    """

    parser: str
    loop: str
    make: MakeTransport

    def __str__(self) -> str:
        return f"{self.parser}-{self.loop}"


def on_httpcore(policy: PoolPolicy) -> PoolTransport:
    """Return the transport as it is where httpcore has to carry the requests."""
    return PoolTransport(policy, connect=httpx_connector(policy))


WIRES: Final = [
    Wire(parser="llhttp", loop="asyncio", make=PoolTransport),
    Wire(parser="h11", loop="asyncio", make=on_httpcore),
    Wire(parser="h11", loop="trio", make=PoolTransport),
]


@pytest.fixture(params=WIRES, ids=str)
def wire(request: pytest.FixtureRequest) -> Wire:
    """Return each transport in turn."""
    given: Wire = request.param
    return given


@pytest.fixture
def anyio_backend(wire: Wire) -> str:
    """Run on the event loop of the transport."""
    return wire.loop


PROBE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nprobe"


class Reciter:
    """A server that recites bytes to the first request, and answers all others with a probe.

    Attributes:
        url: Where it is.
        done: Set when it has said all.
    """

    def __init__(self, pieces: list[bytes], *, hangs_up: bool) -> None:
        self._pieces = pieces
        self._hangs_up = hangs_up
        self._server = Server()
        self.done = anyio.Event()

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def connections(self) -> int:
        """The number of connections that were made to it."""
        return self._server.connections

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Reciter]:
        """Serve for the duration of the block."""
        async with serving(self._answer) as self._server:
            yield self

    async def _answer(self, server: Server, connected: Connected) -> None:
        with suppress(anyio.BrokenResourceError):
            while await server.head(connected):
                if len(server.requests) > 1:
                    await connected.stream.send(PROBE)
                elif await self._recite(connected):
                    return

    async def _recite(self, connected: Connected) -> bool:
        try:
            for piece in self._pieces:
                await connected.stream.send(piece)
                # So that the client reads each piece by itself.
                for _ in range(2):
                    await checkpoint()
        finally:
            self.done.set()
        return self._hangs_up


@asynccontextmanager
async def client_on(transport: httpx.AsyncBaseTransport) -> AsyncIterator[httpx.AsyncClient]:
    """An httpx client on `transport`, with bounded waits."""
    async with httpx.AsyncClient(transport=transport, timeout=PATIENCE) as client:
        yield client


async def asked(client: httpx.AsyncClient, method: str, url: str) -> Outcome:
    """Return what the client makes of the answer; the headers as they came."""
    try:
        async with client.stream(method, url) as response:
            body = b"".join([chunk async for chunk in response.aiter_raw()])
    except httpx.TransportError as exc:
        return Refused(type(exc)) if exc.request.url == url else Refused(httpx.TransportError)
    return Read(
        status=response.status_code,
        reason=response.extensions["reason_phrase"],
        version=response.extensions["http_version"],
        headers=tuple(response.headers.raw),
        body=body,
    )


async def settled() -> None:
    """Let the client's end of the connection see all that was sent to it."""
    for _ in range(3):
        await checkpoint()
