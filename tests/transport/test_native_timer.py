"""The one timer of a native connection, which serves all its waits."""

from __future__ import annotations

import asyncio

import pytest
from anyio.lowlevel import checkpoint

from tests.transport.native_connections import OK, Wire
from wix_asgi._http import httpx
from wix_asgi.transport._http1 import Http1Connection


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, of which native connections are."""
    return "asyncio"


class Clock:
    """The clock of the running event loop, which can be put forward."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        real = loop.time
        self.ahead = 0.0
        monkeypatch.setattr(loop, "time", lambda: real() + self.ahead)

    async def leap(self, seconds: float) -> None:
        """Put it forward, and let the loop see to its timers."""
        self.ahead += seconds
        for _ in range(3):
            await checkpoint()


@pytest.fixture
async def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of the loop."""
    return Clock(monkeypatch)


@pytest.fixture
async def connection() -> Http1Connection:
    """Return a connection whose far end is the test."""
    connection = Http1Connection()
    connection.connection_made(Wire())
    return connection


async def begin(connection: Http1Connection, seconds: float | None) -> asyncio.Task[None]:
    """Begin a request, and the wait for the head of its answer."""
    answer = connection.begin(is_head_only=False)
    task = asyncio.ensure_future(connection.receive_head(answer, seconds))
    await checkpoint()
    return task


async def answered(connection: Http1Connection, task: asyncio.Task[None]) -> None:
    """Answer the request, and end it."""
    assert not task.done()
    connection.data_received(OK)
    await task
    connection.finish(keep=True)


async def test_a_wait_ends_at_its_limit(clock: Clock, connection: Http1Connection) -> None:
    """Not before."""
    task = await begin(connection, 100)
    await clock.leap(90)
    is_early = task.done()
    await clock.leap(20)

    assert not is_early
    with pytest.raises(httpx.ReadTimeout):
        await task


async def test_what_comes_gives_a_wait_its_time_anew(
    clock: Clock, connection: Http1Connection
) -> None:
    """The limit is of each wait, and not of the answer."""
    task = await begin(connection, 100)
    await clock.leap(90)
    connection.data_received(OK[:5])
    await clock.leap(90)

    connection.data_received(OK[5:])
    await task


async def test_a_later_wait_has_its_own_limit(clock: Clock, connection: Http1Connection) -> None:
    """The timer of the earlier one comes too soon for it, and goes off again."""
    await answered(connection, await begin(connection, 100))
    await clock.leap(50)
    task = await begin(connection, 100)
    await clock.leap(60)
    is_early = task.done()
    await clock.leap(50)

    assert not is_early
    with pytest.raises(httpx.ReadTimeout):
        await task


async def test_a_shorter_limit_is_not_late(clock: Clock, connection: Http1Connection) -> None:
    """The timer of an earlier wait would come too late for it."""
    await answered(connection, await begin(connection, 100))
    task = await begin(connection, 10)
    await clock.leap(11)

    with pytest.raises(httpx.ReadTimeout):
        await task


async def test_a_wait_may_have_no_limit(clock: Clock, connection: Http1Connection) -> None:
    """The timer of an earlier one does not end it."""
    await answered(connection, await begin(connection, 100))
    task = await begin(connection, None)
    await clock.leap(1_000)

    await answered(connection, task)


async def test_an_idle_connection_has_no_limit(clock: Clock, connection: Http1Connection) -> None:
    """The timer of its last wait goes off in vain."""
    await answered(connection, await begin(connection, 100))
    await clock.leap(1_000)

    assert connection.is_usable
    await answered(connection, await begin(connection, 100))


async def test_an_answer_at_the_last_moment_counts(
    clock: Clock, connection: Http1Connection
) -> None:
    """A process that was frozen finds the answer and the limit when it wakes."""
    task = await begin(connection, 100)
    clock.ahead += 200
    connection.data_received(OK)

    await clock.leap(0)
    await task


async def test_a_lost_connection_leaves_no_timer(clock: Clock, connection: Http1Connection) -> None:
    """The loop would hold the connection for as long."""
    task = await begin(connection, 100)
    connection.connection_lost(None)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
        await task

    assert connection._timer is not None
    assert connection._timer.cancelled()
    await clock.leap(200)
