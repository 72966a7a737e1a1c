"""The transports that the corpus judges, and a server that answers byte for byte."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

import anyio
import h11
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
        bad_length: What an upload of another length than it has said raises; httpcore does not
            turn h11's error into its own there.
        hears_while_sending: Whether it has an answer that came before its connection broke. The
            streams of anyio receive only while they are read, and asyncio drops the rest.
    """

    parser: str
    loop: str
    make: MakeTransport
    bad_length: type[Exception] = h11.LocalProtocolError
    hears_while_sending: bool = True

    def __str__(self) -> str:
        return f"{self.parser}-{self.loop}"


def on_httpcore(policy: PoolPolicy) -> PoolTransport:
    """Return the transport as it is where httpcore has to carry the requests."""
    return PoolTransport(policy, connect=httpx_connector(policy))


WIRES: Final = [
    Wire(
        parser="llhttp",
        loop="asyncio",
        make=PoolTransport,
        bad_length=httpx.LocalProtocolError,
    ),
    Wire(parser="h11", loop="asyncio", make=on_httpcore, hears_while_sending=False),
    Wire(parser="h11", loop="trio", make=PoolTransport),
]


NATIVE: Final = [wire for wire in WIRES if wire.parser == "llhttp"]


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


Step: TypeAlias = bytes | BaseException | Callable[[], Awaitable[object]]


class Upload(httpx.AsyncByteStream):
    """A body of the bytes among `steps`; between them it waits for functions, or fails.

    Attributes:
        given: The number of steps that were asked for.
    """

    def __init__(self, *steps: Step) -> None:
        self._steps = deque(steps)
        self.given = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while self._steps:
            step = self._steps.popleft()
            self.given += 1
            if isinstance(step, bytes):
                return step
            if isinstance(step, BaseException):
                raise step
            await step()
        raise StopAsyncIteration

    def to(self, url: str, *, length: int | None = None, write: float = PATIENCE) -> httpx.Request:
        """Return a POST of it: in chunks, or of this length; a part is sent within `write` s."""
        headers = {"Host": "a", "Transfer-Encoding": "chunked"}
        if length is not None:
            headers = {"Host": "a", "Content-Length": str(length)}
        timeout = httpx.Timeout(PATIENCE, write=write).as_dict()
        return httpx.Request(
            "POST", url, headers=headers, stream=self, extensions={"timeout": timeout}
        )
