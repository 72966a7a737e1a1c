"""Connections that do what the test says, and remember it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wix_asgi._http import httpx
from wix_asgi.transport.pooled import PoolTransport

URL = "http://upstream.example/"


class Body(httpx.AsyncByteStream):
    """The body of a FakeConnection's answer, in `chunks` pieces."""

    def __init__(self, connection: FakeConnection, chunks: int) -> None:
        self.connection = connection
        self.chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self.chunks == 0:
            raise StopAsyncIteration
        await self.connection.gate("read")
        self.chunks -= 1
        return b"x"

    async def aclose(self) -> None:
        await self.connection.gate("end")


class FakeConnection(httpx.AsyncBaseTransport):
    """A transport that says when it is used, and waits or fails where its Fakes says so."""

    def __init__(self, fakes: Fakes, number: int) -> None:
        self.fakes = fakes
        self.number = number
        self.requests = 0
        self.loops: set[object] = set()
        self.open = True

    async def gate(self, step: str) -> None:
        """Do what is to be done at `step`."""
        await self.fakes.at.get(step, checkpoint)()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert self.open, "a closed connection was used"
        self.requests += 1
        self.fakes.order.append(request.url.path)
        await self.gate("send")
        return httpx.Response(200, stream=Body(self, self.fakes.chunks))

    async def aclose(self) -> None:
        try:
            await self.gate("close")
        finally:
            if self.open:
                self.open = False
                self.fakes.now_open -= 1


class Fakes:
    """A `connect` that remembers all it made, and the most that were open at once."""

    def __init__(self, chunks: int = 1) -> None:
        self.chunks = chunks
        self.made: list[FakeConnection] = []
        self.at: dict[str, Callable[[], Awaitable[None]]] = {}
        self.order: list[str] = []
        self.now_open = 0
        self.most_open = 0

    def __call__(self) -> FakeConnection:
        connection = FakeConnection(self, len(self.made))
        self.made.append(connection)
        self.now_open += 1
        self.most_open = max(self.most_open, self.now_open)
        return connection

    @property
    def requests(self) -> list[int]:
        """How many requests each connection had."""
        return [connection.requests for connection in self.made]

    @property
    def open(self) -> list[int]:
        """The numbers of those that are open."""
        return [connection.number for connection in self.made if connection.open]

    def fail(self, step: str, *errors: Exception) -> None:
        """Raise one of `errors` after the other at `step`, then nothing more."""
        left = list(errors)

        async def raise_next() -> None:
            if left:
                raise left.pop(0)

        self.at[step] = raise_next

    def block(self, step: str) -> tuple[anyio.Event, anyio.Event]:
        """Wait at `step`: an event that it was reached, and one that lets it go on."""
        reached, go_on = anyio.Event(), anyio.Event()

        async def wait() -> None:
            reached.set()
            await go_on.wait()

        self.at[step] = wait
        return reached, go_on

    @staticmethod
    def others(chunks: int) -> Fakes:
        """A set of its own, for a test that needs many."""
        return Fakes(chunks)

    @staticmethod
    async def call(pool: PoolTransport, url: str = URL, method: str = "GET") -> bytes:
        """Call `url` and read the answer."""
        response = await pool.handle_async_request(httpx.Request(method, url))
        return await response.aread()

    @staticmethod
    async def start(pool: PoolTransport, url: str = URL, method: str = "GET") -> httpx.Response:
        """Call `url` and leave the answer unread."""
        return await pool.handle_async_request(httpx.Request(method, url))


@pytest.fixture
def fakes() -> Fakes:
    """Connections that are not made of sockets."""
    return Fakes()
