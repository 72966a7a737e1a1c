"""What a native connection asks of its transport."""

from __future__ import annotations

import asyncio

import pytest
from anyio.lowlevel import checkpoint

from tests.transport.native_connections import OK, Wire
from wix_asgi._http import httpx
from wix_asgi.transport._http1 import Http1Connection

LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: 600000\r\n\r\n"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, of which native connections are."""
    return "asyncio"


@pytest.fixture
async def wire() -> Wire:
    """Return a transport whose far end is the test."""
    return Wire()


@pytest.fixture
async def connection(wire: Wire) -> Http1Connection:
    """Return a connection on that transport."""
    connection = Http1Connection()
    connection.connection_made(wire)
    return connection


async def test_it_receives_no_more_than_is_read(connection: Http1Connection, wire: Wire) -> None:
    """Above its bound it pauses once, and it goes on when the body is read."""
    answer = connection.begin(is_head_only=False)
    connection.data_received(LARGE + b"x" * 300_000)
    connection.data_received(b"x" * 100_000)
    paused = [*wire.done]
    read = await connection.receive(answer, None)
    connection.data_received(b"x" * 200_000)

    assert (["pause"], 400_000) == (paused, len(read))
    assert ["pause", "resume"] == wire.done
    assert answer.is_complete


async def test_an_answer_that_came_whole_leaves_it_receiving(
    connection: Http1Connection, wire: Wire
) -> None:
    """Otherwise it would never see the next answer."""
    answer = connection.begin(is_head_only=False)
    connection.data_received(LARGE + b"x" * 600_000)
    connection.finish(keep=True)

    assert 600_000 == len(answer.take_body())
    assert ["pause", "resume"] == wire.done
    assert connection.is_usable


async def test_a_lost_connection_receives_no_more(connection: Http1Connection, wire: Wire) -> None:
    """What had come is read, and then the error."""
    answer = connection.begin(is_head_only=False)
    connection.data_received(LARGE + b"x" * 300_000)
    connection.connection_lost(ConnectionResetError("gone"))

    assert 300_000 == len(await connection.receive(answer, None))
    with pytest.raises(httpx.ReadError, match="gone"):
        await connection.receive(answer, None)
    assert ["pause"] == wire.done


async def test_several_events_wake_a_wait_once(connection: Http1Connection) -> None:
    """Before the waiting task has had its turn."""
    answer = connection.begin(is_head_only=False)
    task = asyncio.ensure_future(connection.receive_head(answer, None))
    await checkpoint()
    connection.data_received(OK[:-1])
    connection.data_received(OK[-1:])
    await task

    assert b"ok" == answer.take_body()


async def test_what_comes_to_an_idle_connection_closes_it(
    connection: Http1Connection, wire: Wire
) -> None:
    """It cannot be an answer."""
    connection.data_received(OK)

    assert ["abort"] == wire.done
    assert not connection.is_usable


async def test_an_idle_connection_that_ends_is_not_used(connection: Http1Connection) -> None:
    """The server hangs up, as it may at any time."""
    connection.eof_received()
    connection.connection_lost(None)

    assert not connection.is_usable
    assert not await connection.write(b"x", None)
