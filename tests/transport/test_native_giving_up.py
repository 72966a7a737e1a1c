"""Native connections whose requests run out of time, or are cancelled."""

from __future__ import annotations

import socket
from typing import Any, cast

import anyio
import pytest

from tests.transport.native_connections import OK, native, read, request_of, until_hung_up
from tests.transport.test_pool_over_the_wire import Connected, Server, keep_alive, serving
from wix_asgi._http import httpx


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, of which native connections are."""
    return "asyncio"


LONG = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"


class TestTimeouts:
    async def test_a_head_that_does_not_come(self) -> None:
        """`httpx.ReadTimeout`, and the connection is closed."""

        async def silent(server: Server, connected: Connected) -> None:
            while await server.head(connected):
                pass

        async with serving(silent) as server, native() as connection:
            with pytest.raises(httpx.ReadTimeout):
                await read(connection, request_of(server.url, read=0.01))
            with pytest.raises(httpx.ReadTimeout):
                await read(connection, request_of(server.url, read=0.01))

            assert 2 == server.connections

    async def test_a_body_that_stops(self) -> None:
        """Its connection is closed, too."""
        async with serving(self.stopping) as server, native() as connection:
            with pytest.raises(httpx.ReadTimeout):
                await read(connection, request_of(server.url, read=0.05))

    @staticmethod
    async def stopping(server: Server, connected: Connected) -> None:
        """Begin an answer, and wait for the client to leave."""
        await server.head(connected)
        await connected.stream.send(LONG)
        await server.head(connected)

    async def test_a_server_that_takes_nothing(self) -> None:
        """`httpx.WriteTimeout` for a body that does not get into the network."""
        # Nobody accepts: a stream of anyio reads from the start, and would take the body.
        with socket.create_server(("127.0.0.1", 0)) as deaf:
            url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
            request = request_of(url, "PUT", write=0.05, content=b"x" * 30_000_000)
            async with native() as connection:
                with pytest.raises(httpx.WriteTimeout):
                    await read(connection, request)


class TestCancellation:
    async def test_a_cancelled_request_costs_the_connection(self) -> None:
        """The answer that comes later is not taken for that of another request."""
        asked = anyio.Event()

        async def silent(server: Server, connected: Connected) -> None:
            await server.head(connected)
            if len(server.requests) > 1:
                await connected.stream.send(OK)
            asked.set()
            await server.head(connected)

        async with serving(silent) as server, native() as connection:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read, connection, request_of(server.url))
                await asked.wait()
                tasks.cancel_scope.cancel()

            assert b"ok" == await read(connection, request_of(server.url))
            assert 2 == server.connections

    async def test_a_cancelled_read_costs_the_connection(self) -> None:
        """Of a body that is half here."""
        async with serving(TestTimeouts.stopping) as server, native() as connection:
            response = await connection.handle_async_request(request_of(server.url))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(response.aread)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()

            assert not cast("Any", connection._connection).is_usable

    async def test_it_closes_though_its_closer_is_cancelled(self) -> None:
        """The socket is gone a moment later."""
        async with serving(keep_alive) as server, native() as connection:
            response = await connection.handle_async_request(request_of(server.url))
            with anyio.CancelScope() as scope:
                scope.cancel()
                await connection.aclose()
            await until_hung_up(response)

            assert scope.cancelled_caught
