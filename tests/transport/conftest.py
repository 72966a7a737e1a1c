"""Connections in memory, which a test makes wait or fail, and which count their requests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wix_asgi._http import httpx
from wix_asgi.transport.pooled import PoolTransport

URL = "http://upstream.example/"


class Body(httpx.AsyncByteStream):
    """The body of a FakeConnection's response, of `chunks` chunks."""

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
    """A transport that counts its requests, and waits or fails at the steps of its Fakes."""

    def __init__(self, fakes: Fakes, number: int) -> None:
        self.fakes = fakes
        self.number = number
        self.requests = 0
        self.loops: set[object] = set()
        self.open = True

    async def gate(self, step: str) -> None:
        """Run the action that is set for `step`."""
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
    """A `connect` that remembers all its connections.

    Attributes:
        made: The connections, in order.
        at: The action at each step: "send" a request, "read" a chunk, "end" a body, "close".
        order: The paths of the requests, in order.
        most_open: The largest number of connections that were open at one moment.
    """

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
        """The number of requests of each connection."""
        return [connection.requests for connection in self.made]

    @property
    def open(self) -> list[int]:
        """The numbers of the open connections."""
        return [connection.number for connection in self.made if connection.open]

    def fail(self, step: str, *errors: Exception) -> None:
        """Raise the next of `errors` each time at `step`, until none is left."""
        left = list(errors)

        async def raise_next() -> None:
            if left:
                raise left.pop(0)

        self.at[step] = raise_next

    def block(self, step: str) -> tuple[anyio.Event, anyio.Event]:
        """Wait at `step`; return one event that says so, and another that ends the wait."""
        reached, go_on = anyio.Event(), anyio.Event()

        async def wait() -> None:
            reached.set()
            await go_on.wait()

        self.at[step] = wait
        return reached, go_on

    @staticmethod
    def others(chunks: int) -> Fakes:
        """Return another set of connections, for a test that needs several."""
        return Fakes(chunks)

    @staticmethod
    async def call(pool: PoolTransport, url: str = URL, method: str = "GET") -> bytes:
        """Call `url` and read the response."""
        response = await pool.handle_async_request(httpx.Request(method, url))
        return await response.aread()

    @staticmethod
    async def start(pool: PoolTransport, url: str = URL, method: str = "GET") -> httpx.Response:
        """Call `url` and leave the response unread."""
        return await pool.handle_async_request(httpx.Request(method, url))


@pytest.fixture
def fakes() -> Fakes:
    """Return a `connect` whose connections are in memory."""
    return Fakes()
