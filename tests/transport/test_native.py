"""Native connections, which asyncio has instead of httpcore's."""

from __future__ import annotations

import gc
import logging
import socket
import struct
from typing import Any, cast

import anyio
import pytest
from anyio.abc import SocketAttribute

from tests.transport.native_connections import OK, native, read, request_of, saying, until_hung_up
from tests.transport.test_pool_over_the_wire import Connected, Server, keep_alive, serving
from wix_asgi._http import httpx
from wix_asgi.transport.policy import PoolPolicy
from wix_asgi.transport.pooled import PoolTransport

LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, of which native connections are."""
    return "asyncio"


async def test_an_answer_in_one_piece_frees_its_connection_at_once() -> None:
    """Its body is in memory, and the connection carries another request before it is read."""
    async with serving(keep_alive) as server, native() as connection:
        first = await connection.handle_async_request(request_of(server.url))
        second = await connection.handle_async_request(request_of(server.url))

        assert isinstance(first.stream, httpx.ByteStream)
        assert (b"ok", b"ok") == (await first.aread(), await second.aread())
        assert 1 == server.connections


async def test_extensions_are_those_of_httpcore() -> None:
    """Version, reason, and of the network stream what it tells."""
    fine = saying(b"HTTP/1.0 200 Fine\r\nContent-Length: 0\r\n\r\n")
    async with serving(fine) as server, native() as connection:
        response = await connection.handle_async_request(request_of(server.url))
        stream = response.extensions["network_stream"]

        assert b"HTTP/1.0" == response.extensions["http_version"]
        assert b"Fine" == response.extensions["reason_phrase"]
        assert server.url.endswith(f":{stream.get_extra_info('server_addr')[1]}")
        assert "127.0.0.1" == stream.get_extra_info("client_addr")[0]
        assert stream.get_extra_info("socket") is not None
        assert stream.get_extra_info("ssl_object") is None


async def test_a_connection_that_is_over_is_opened_again() -> None:
    """Whatever was sent to it while it was idle is read by nobody."""
    rubbish = anyio.Event()

    async def chatty(server: Server, connected: Connected) -> None:
        await server.head(connected)
        await connected.stream.send(OK)
        await rubbish.wait()
        await connected.stream.send(OK)
        await server.head(connected)

    async with serving(chatty) as server, native() as connection:
        response = await connection.handle_async_request(request_of(server.url))
        rubbish.set()
        await until_hung_up(response)

        assert b"ok" == await read(connection, request_of(server.url))
        assert 2 == server.connections


async def test_each_connection_is_told_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    """By its origin, once."""
    caplog.set_level(logging.DEBUG, "wix_asgi.transport")
    async with serving(keep_alive) as server, native() as connection:
        for _ in range(2):
            await read(connection, request_of(server.url))

    assert ["connected to http://127.0.0.1"] == caplog.messages


async def test_another_origin_gets_another_connection() -> None:
    """A token is never sent where another URL leads (R38)."""
    async with (
        serving(keep_alive) as server,
        serving(keep_alive) as other,
        native() as connection,
    ):
        await read(connection, request_of(server.url))
        await read(connection, request_of(other.url))

        assert (1, 1) == (len(server.requests), len(other.requests))


@pytest.mark.parametrize("header", ["request", "answer"])
async def test_connection_close_is_heeded_from_either_side(header: str) -> None:
    """The next request opens a new connection."""
    answer = OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) if header == "answer" else OK
    headers = {"Connection": "close"} if header == "request" else {}
    async with serving(saying(answer)) as server, native() as connection:
        for _ in range(2):
            assert b"ok" == await read(connection, request_of(server.url, headers=headers))

        assert 2 == server.connections


async def test_a_body_comes_in_parts_and_its_connection_is_used_again() -> None:
    """Read to its end, it gives the connection back."""
    go_on = anyio.Event()

    async def slow(server: Server, connected: Connected) -> None:
        while await server.head(connected):
            await connected.stream.send(OK[:-1])
            await go_on.wait()
            await connected.stream.send(OK[-1:])

    async with serving(slow) as server, native() as connection:
        for _ in range(2):
            response = await connection.handle_async_request(request_of(server.url))
            parts = []
            stream = aiter(cast("httpx.AsyncByteStream", response.stream))
            async for part in stream:
                parts.append(part)
                go_on.set()

            with pytest.raises(StopAsyncIteration):
                await anext(stream)
            assert [b"o", b"k"] == parts
        assert 1 == server.connections


async def test_a_body_that_is_closed_half_way_costs_the_connection() -> None:
    """What is still to come must not be taken for another answer."""
    async with serving(saying(LONG + b"x")) as server, native() as connection:
        response = await connection.handle_async_request(request_of(server.url))
        await response.aclose()
        await response.aclose()

        assert 200 == (await connection.handle_async_request(request_of(server.url))).status_code
        assert 2 == server.connections


async def test_a_body_that_fails_costs_the_connection() -> None:
    """The server hangs up before its end."""
    async with serving(saying(LONG)) as server, native() as connection:
        response = await connection.handle_async_request(request_of(server.url))
        with pytest.raises(httpx.RemoteProtocolError, match="complete message body"):
            await response.aread()

        assert not connection._connection or not connection._connection.is_usable


async def test_more_than_memory_should_hold_waits_in_the_network() -> None:
    """A server that sends eight megabytes waits for their reader."""
    size = 8_000_000
    sent = anyio.Event()

    async def eager(server: Server, connected: Connected) -> None:
        while await server.head(connected):
            await connected.stream.send(LONG.replace(b"1000000", b"%d" % size))
            await connected.stream.send(b"x" * size)
            sent.set()

    async with serving(eager) as server, native() as connection:
        response = await connection.handle_async_request(request_of(server.url))
        await anyio.wait_all_tasks_blocked()
        is_early = sent.is_set()
        answer = cast("Any", response.stream)._answer
        unread = answer.size
        body = await response.aread()
        again = await connection.handle_async_request(request_of(server.url))
        await again.aclose()

        assert not is_early
        assert unread < 1_000_000
        assert size == len(body)
        assert 1 == server.connections


async def test_a_reset_is_a_read_error() -> None:
    """As httpcore has it: what was sent may have arrived."""

    async def resetting(server: Server, connected: Connected) -> None:
        await server.head(connected)
        end: socket.socket = connected.stream.extra(SocketAttribute.raw_socket)  # noqa: S610
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with serving(resetting) as server, native() as connection:
        # Older releases of anyio end their side in order first.
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await read(connection, request_of(server.url))


async def test_a_task_that_asks_again_does_not_overtake() -> None:
    """Waiting tasks have their turns, though a busy one gives its connection back and asks anew."""
    order: list[str] = []
    pool = PoolTransport(PoolPolicy(max_connections=1))
    async with serving(keep_alive) as server:

        async def call(name: str, times: int) -> None:
            for _ in range(times):
                await (await pool.handle_async_request(request_of(server.url))).aread()
                order.append(name)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call, "busy", 5)
            tasks.start_soon(call, "other", 2)
        await pool.aclose()

    assert ["busy", "other", "busy", "other"] == order[:4]


async def test_answers_leave_nothing_to_collect() -> None:
    """A call makes no reference cycle: collections would cost more than the calls."""
    async with serving(keep_alive) as server, native() as connection:
        await connection.handle_async_request(request_of(server.url))
        request = request_of(server.url)
        gc.collect()
        gc.disable()
        try:
            for _ in range(20):
                await connection.handle_async_request(request)
            found = gc.collect()
        finally:
            gc.enable()

        assert found < 20
