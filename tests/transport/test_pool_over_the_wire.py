from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from anyio.lowlevel import checkpoint
from anyio.streams.buffered import BufferedByteReceiveStream

from tests.limits import PATIENCE
from wix_asgi._http import httpx
from wix_asgi.transport.policy import PoolPolicy
from wix_asgi.transport.pooled import PoolTransport

KEPT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Server:
    """An HTTP server on loopback whose handler gets each connection."""

    def __init__(self) -> None:
        self.url = ""
        self.connections = 0
        self.requests: list[bytes] = []

    async def head(self, stream: Connected) -> bytes:
        """Return the head of the next request, empty when the client is gone."""
        try:
            head = await stream.reader.receive_until(b"\r\n\r\n", 65536)
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
            return b""
        self.requests.append(head)
        return head


class Connected:
    """The server's end of a connection."""

    def __init__(self, stream: SocketStream) -> None:
        self.stream = stream
        self.reader = BufferedByteReceiveStream(stream)


Handler = Callable[[Server, Connected], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[Server]:
    """Serve on loopback for the duration of the block."""
    server = Server()

    async def handle(stream: SocketStream) -> None:
        server.connections += 1
        async with stream:
            await handler(server, Connected(stream))

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    server.url = f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}"  # noqa: S610

    async def serve() -> None:
        async with listener:
            await listener.serve(handle)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(serve)
        yield server
        tasks.cancel_scope.cancel()


async def keep_alive(server: Server, connected: Connected) -> None:
    """Answer all requests of a connection, in order."""
    while await server.head(connected):
        await connected.stream.send(KEPT)


@asynccontextmanager
async def client_of(pool: PoolTransport) -> AsyncIterator[httpx.AsyncClient]:
    """An httpx client on `pool`, with bounded waits."""
    async with httpx.AsyncClient(transport=pool, timeout=PATIENCE) as client:
        yield client


class TestOverTheWire:
    async def test_many_calls_share_few_connections(self) -> None:
        """Calls beyond the limit wait, succeed, and open no further connection."""
        pool = PoolTransport(PoolPolicy(max_connections=4))
        async with serving(keep_alive) as server, client_of(pool) as client:
            answers: list[str] = []

            async def get() -> None:
                answers.append((await client.get(server.url)).text)

            async with anyio.create_task_group() as tasks:
                for _ in range(40):
                    tasks.start_soon(get)

            assert ["ok"] * 40 == answers
            assert 4 == server.connections
            assert (0, 4) == (pool.in_flight, pool.idle)

    async def test_a_connection_that_the_server_closed_is_noticed(self) -> None:
        """A POST after the server hung up goes over a new connection."""
        read = anyio.Event()

        async def once(server: Server, connected: Connected) -> None:
            await server.head(connected)
            await connected.stream.send(KEPT)
            await read.wait()

        async with serving(once) as server, client_of(PoolTransport()) as client:
            first = await client.post(server.url)
            read.set()
            network = first.extensions["network_stream"]
            with anyio.fail_after(PATIENCE):
                while not network.get_extra_info("is_readable"):
                    await checkpoint()
            second = await client.post(server.url)

            assert ("ok", "ok", 2) == (first.text, second.text, server.connections)

    @pytest.mark.parametrize(("method", "connections"), [("GET", 2), ("POST", 1)])
    async def test_a_server_that_hangs_up_just_now(self, method: str, connections: int) -> None:
        """A request lost in that race is repeated if it is idempotent, else fails (R26)."""

        async def hang_up_at_the_second(server: Server, connected: Connected) -> None:
            while await server.head(connected) and len(server.requests) != 2:
                await connected.stream.send(KEPT)

        pool = PoolTransport()
        async with serving(hang_up_at_the_second) as server, client_of(pool) as client:
            await client.get(server.url)
            statuses: list[int] = []
            try:
                statuses.append((await client.request(method, server.url)).status_code)
            except httpx.RemoteProtocolError:
                statuses.append(0)

            assert [200 if connections == 2 else 0] == statuses
            assert connections == server.connections
            assert 0 == pool.in_flight

    async def test_large_bodies_stream_both_ways(self) -> None:
        """Eight megabytes are sent and received in chunks, unchanged."""
        chunk, count = bytes(range(256)) * 256, 128

        async def upload() -> AsyncIterator[bytes]:
            for _ in range(count):
                yield chunk

        headers = {"Content-Length": str(len(chunk) * count)}
        received: list[bytes] = []
        async with (
            serving(echo_after_upload(chunk, count)) as server,
            client_of(PoolTransport()) as client,
            client.stream("PUT", server.url, content=upload(), headers=headers) as response,
        ):
            received.extend([chunk async for chunk in response.aiter_raw()])

        assert chunk * count == b"".join(received)
        assert len(received) > 1

    async def test_headers_without_end_are_refused(self) -> None:
        """A response head of five megabytes ends in an error, not in memory (R39)."""

        async def endless(server: Server, connected: Connected) -> None:
            await server.head(connected)
            with suppress(anyio.BrokenResourceError):
                await connected.stream.send(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 5_000_000)

        pool = PoolTransport()
        async with serving(endless) as server, client_of(pool) as client:
            with pytest.raises(httpx.RemoteProtocolError):
                await client.get(server.url)

            assert (0, 0) == (pool.in_flight, pool.idle)

    async def test_proxies_of_the_environment_are_not_used(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """HTTP_PROXY and ALL_PROXY do not lead a token elsewhere (R39)."""
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with serving(keep_alive) as server, client_of(PoolTransport()) as client:
            assert "ok" == (await client.get(server.url)).text
            assert b"GET / HTTP/1.1" == server.requests[0].splitlines()[0]

    async def test_a_cancelled_call_closes_its_socket(self) -> None:
        """The server sees the client go when a call is cancelled while it waits for an answer."""
        gone = anyio.Event()
        asked = anyio.Event()

        async def silent(server: Server, connected: Connected) -> None:
            await server.head(connected)
            asked.set()
            assert b"" == await server.head(connected)
            gone.set()

        pool = PoolTransport(PoolPolicy(max_connections=1))
        async with serving(silent) as server, client_of(pool) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.get, server.url)
                await asked.wait()
                tasks.cancel_scope.cancel()
            with anyio.fail_after(PATIENCE):
                await gone.wait()

            assert (0, 0) == (pool.in_flight, pool.idle)


def echo_after_upload(chunk: bytes, count: int) -> Handler:
    """Return a handler that reads `count` chunks, then sends them back."""

    async def echo(server: Server, connected: Connected) -> None:
        await server.head(connected)
        body = [await connected.reader.receive_exactly(len(chunk)) for _ in range(count)]
        length = len(chunk) * count
        await connected.stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        for received in body:
            await connected.stream.send(received)

    return echo
