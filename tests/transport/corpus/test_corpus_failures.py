"""What fails on the way, and with which error; nothing stays behind."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import anyio
import pytest
from anyio.abc import SocketAttribute
from anyio.lowlevel import checkpoint

from tests.limits import PATIENCE
from tests.transport.corpus.conftest import NATIVE, Upload, Wire, client_on, settled
from tests.transport.test_pool_over_the_wire import KEPT, Connected, Server, keep_alive, serving
from wix_asgi._http import httpx
from wix_asgi.transport.policy import PoolPolicy

ONE: Final = PoolPolicy(max_connections=1)
SOON: Final = 0.05
"""Seconds of a timeout that a test waits for."""

HALF: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"
PART: Final = b"x" * 65536


@contextmanager
def deaf_port() -> Iterator[int]:
    """Give a port whose queue of connections is full: the next waits for ever."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", port))
        try:
            yield port
        finally:
            for each in waiting:
                each.close()


@contextmanager
def closed_port() -> Iterator[int]:
    """Give a port on which nobody listens, and on which nobody else can."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


LOST = httpx.RemoteProtocolError


def reset(connected: Connected) -> None:
    """Have the connection end by a reset instead of an orderly close."""
    raw = connected.stream.extra(SocketAttribute.raw_socket)  # noqa: S610 - not Django's
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def silent(server: Server, connected: Connected) -> None:
    """Read requests, and say nothing."""
    while await server.head(connected):
        pass


async def deaf(server: Server, connected: Connected) -> None:
    """Read the head of a request, and nothing more."""
    await server.head(connected)
    await anyio.sleep_forever()


async def halting(server: Server, connected: Connected) -> None:
    """Send half an answer, and wait."""
    await server.head(connected)
    await connected.stream.send(HALF)
    await server.head(connected)


async def mute(_: Server, connected: Connected) -> None:
    """Take what a client of TLS says, and say nothing."""
    with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
        while True:
            await connected.stream.receive()


class TestTimeouts:
    async def test_connecting(self, wire: Wire) -> None:
        """A server that takes no connection is a ConnectTimeout."""
        transport = wire.make(ONE)
        with deaf_port() as port:
            async with client_on(transport) as client:
                timeout = httpx.Timeout(PATIENCE, connect=SOON)
                with pytest.raises(httpx.ConnectTimeout) as failed:
                    await client.get(f"http://127.0.0.1:{port}", timeout=timeout)

                assert port == failed.value.request.url.port
                assert (0, 0) == (transport.in_flight, transport.idle)

    async def test_the_handshake(self, wire: Wire) -> None:
        """A server that does not answer in TLS is a ConnectTimeout, too."""
        transport = wire.make(ONE)
        async with serving(mute) as server, client_on(transport) as client:
            timeout = httpx.Timeout(PATIENCE, connect=SOON)
            with pytest.raises(httpx.ConnectTimeout):
                await client.get(server.url.replace("http", "https"), timeout=timeout)

            assert (0, 0) == (transport.in_flight, transport.idle)

    async def test_the_head(self, wire: Wire) -> None:
        """A server that does not answer is a ReadTimeout."""
        transport = wire.make(ONE)
        async with serving(silent) as server, client_on(transport) as client:
            with pytest.raises(httpx.ReadTimeout) as failed:
                await client.get(server.url, timeout=httpx.Timeout(PATIENCE, read=SOON))

            assert server.url == failed.value.request.url
            assert (0, 0) == (transport.in_flight, transport.idle)

    async def test_the_body(self, wire: Wire) -> None:
        """A server that halts in an answer is a ReadTimeout, while the body is read."""
        transport = wire.make(ONE)
        async with serving(halting) as server, client_on(transport) as client:
            timeout = httpx.Timeout(PATIENCE, read=SOON)
            async with client.stream("GET", server.url, timeout=timeout) as response:
                chunks = response.aiter_raw()
                first = await anext(chunks)
                with pytest.raises(httpx.ReadTimeout):
                    await anext(chunks)

            assert b"ha" == first
            assert (0, 0) == (transport.in_flight, transport.idle)

    async def test_a_slot(self, wire: Wire) -> None:
        """A request that gets no connection is a PoolTimeout."""
        transport = wire.make(ONE)
        async with serving(halting) as server, client_on(transport) as client:
            timeout = httpx.Timeout(PATIENCE, pool=SOON)
            async with client.stream("GET", server.url):
                with pytest.raises(httpx.PoolTimeout):
                    await client.get(server.url, timeout=timeout)

            assert (0, 0) == (transport.in_flight, transport.idle)


class TestLost:
    async def test_nobody_listens(self, wire: Wire) -> None:
        """A refused connection is a ConnectError."""
        transport = wire.make(ONE)
        with closed_port() as port:
            async with client_on(transport) as client:
                with pytest.raises(httpx.ConnectError) as failed:
                    await client.get(f"http://127.0.0.1:{port}")

                assert port == failed.value.request.url.port
                assert (0, 0) == (transport.in_flight, transport.idle)

    async def test_no_tls(self, wire: Wire) -> None:
        """A server that speaks no TLS is a ConnectError: nothing was sent."""
        transport = wire.make(ONE)

        async def plain(_: Server, connected: Connected) -> None:
            await connected.stream.receive()
            await connected.stream.send(KEPT)

        async with serving(plain) as server, client_on(transport) as client:
            with pytest.raises(httpx.ConnectError):
                await client.get(server.url.replace("http", "https"))

            assert (0, 0) == (transport.in_flight, transport.idle)

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("by_reset", [True, False])
    async def test_before_the_answer(self, method: str, by_reset: bool, wire: Wire) -> None:
        """A new connection that is lost fails the request, which is not sent again (R26)."""
        transport = wire.make(ONE)

        async def hangs_up(server: Server, connected: Connected) -> None:
            await server.head(connected)
            if by_reset:
                reset(connected)

        # Older releases of anyio end their side in order before the reset.
        lost = (httpx.ReadError, httpx.RemoteProtocolError) if by_reset else LOST
        async with serving(hangs_up) as server, client_on(transport) as client:
            with pytest.raises(lost):
                await client.request(method, server.url)

            assert 1 == len(server.requests)
            assert (0, 0) == (transport.in_flight, transport.idle)

    @pytest.mark.parametrize("by_reset", [True, False])
    @pytest.mark.parametrize("method", ["GET", "PUT", "POST", "PATCH"])
    async def test_an_old_connection(self, method: str, by_reset: bool, wire: Wire) -> None:
        """A request that its server never answered goes again if it may be sent twice (R26)."""
        transport = wire.make(ONE)

        async def once(server: Server, connected: Connected) -> None:
            await server.head(connected)
            await connected.stream.send(KEPT)
            # The second request of the first connection, and no other, is lost.
            if server.connections == 1:
                await server.head(connected)
                if by_reset:
                    reset(connected)
                return
            await keep_alive(server, connected)

        told: list[object] = []
        async with serving(once) as server, client_on(transport) as client:
            await client.get(server.url)
            try:
                told += [(await client.request(method, server.url)).status_code]
            except (httpx.ReadError, httpx.RemoteProtocolError):
                told += [None]

            assert [200 if method in {"GET", "PUT"} else None] == told
            assert (3 if method in {"GET", "PUT"} else 2) == len(server.requests)
            assert 0 == transport.in_flight

    @pytest.mark.parametrize("by_reset", [True, False])
    async def test_in_the_body(self, by_reset: bool, wire: Wire) -> None:
        """A body that is cut off fails while it is read, and what came before it is given."""
        transport = wire.make(ONE)
        read = anyio.Event()

        async def cut(server: Server, connected: Connected) -> None:
            await server.head(connected)
            await connected.stream.send(HALF)
            await read.wait()
            if by_reset:
                reset(connected)

        # Older releases of anyio end their side in order before the reset.
        lost = (httpx.ReadError, httpx.RemoteProtocolError) if by_reset else LOST
        async with serving(cut) as server, client_on(transport) as client:
            async with client.stream("GET", server.url) as response:
                chunks = response.aiter_raw()
                first = await anext(chunks)
                read.set()
                with pytest.raises(lost):
                    await anext(chunks)

            assert b"ha" == first
            assert (0, 0) == (transport.in_flight, transport.idle)


class TestCancelled:
    """A request that is cancelled leaves no connection, and its server sees it go."""

    @pytest.mark.parametrize("handler", [silent, halting, deaf])
    async def test_over_the_wire(self, handler: object, wire: Wire) -> None:
        """While it is sent, while it waits for the head, and while the body is read."""
        transport = wire.make(ONE)
        gone = anyio.Event()

        async def handle(server: Server, connected: Connected) -> None:
            await server.head(connected)
            if handler is halting:
                await connected.stream.send(HALF)
            if handler is deaf:
                await started.wait()
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    await connected.stream.receive()
            gone.set()

        started = anyio.Event()
        upload = Upload(*[PART] * 512)

        async with serving(handle) as server, client_on(transport) as client:
            request = client.build_request("GET", server.url)
            if handler is deaf:
                request = upload.to(server.url)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.send, request)
                with anyio.fail_after(PATIENCE):
                    while not server.requests:
                        await checkpoint()
                await settled()
                tasks.cancel_scope.cancel()
            started.set()
            with anyio.fail_after(PATIENCE):
                await gone.wait()

            assert (0, 0) == (transport.in_flight, transport.idle)

    async def test_while_it_connects(self, wire: Wire) -> None:
        """Nothing stays open where no connection was made yet."""
        transport = wire.make(ONE)
        with deaf_port() as port:
            async with client_on(transport) as client, anyio.create_task_group() as tasks:
                tasks.start_soon(client.get, f"http://127.0.0.1:{port}")
                while not transport.in_flight:
                    await checkpoint()
                await settled()
                tasks.cancel_scope.cancel()

            assert (0, 0) == (transport.in_flight, transport.idle)

    @pytest.mark.parametrize("wire", NATIVE, indirect=True, ids=str)
    async def test_in_the_handshake(self, wire: Wire) -> None:
        """The server sees a client go that had begun to speak TLS; httpcore forgets its socket."""
        transport = wire.make(ONE)
        begun, gone = anyio.Event(), anyio.Event()

        async def greeted(_: Server, connected: Connected) -> None:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                while True:
                    await connected.stream.receive()
                    begun.set()
            gone.set()

        async with serving(greeted) as server, client_on(transport) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.get, server.url.replace("http", "https"))
                with anyio.fail_after(PATIENCE):
                    await begun.wait()
                tasks.cancel_scope.cancel()
            with anyio.fail_after(PATIENCE):
                await gone.wait()

            assert (0, 0) == (transport.in_flight, transport.idle)
