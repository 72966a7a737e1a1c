"""Which connection is used next, and which request gets it, over the wire."""

from __future__ import annotations

import gc

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.limits import PATIENCE
from tests.transport.corpus.conftest import Wire, client_on
from tests.transport.test_pool_over_the_wire import Connected, Server, keep_alive, serving
from wix_asgi.transport.policy import PoolPolicy


async def test_the_connection_used_last_is_used_next(wire: Wire) -> None:
    """Of two idle connections the warm one serves all calls that come one by one."""
    transport = wire.make(PoolPolicy(max_connections=2))
    both = anyio.Event()
    told: list[str] = []

    async def numbered(server: Server, connected: Connected) -> None:
        number = server.connections
        if number == 2:
            both.set()
        while await server.head(connected):
            await both.wait()
            await connected.stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)

    async def call() -> None:
        told.append((await client.get(server.url)).text)

    async with serving(numbered) as server, client_on(transport) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            tasks.start_soon(call)
        for _ in range(3):
            await call()

        assert {"1", "2"} == set(told[:2])
        assert 1 == len(set(told[1:]))
        assert (0, 2) == (transport.in_flight, transport.idle)


async def test_a_busy_task_does_not_starve_others(wire: Wire) -> None:
    """A task that calls without a pause waits for its turn behind all others."""
    transport = wire.make(PoolPolicy(max_connections=1))
    order: list[int] = []

    async def call(number: int) -> None:
        for _ in range(5):
            await client.get(server.url)
            order.append(number)

    async with serving(keep_alive) as server, client_on(transport) as client:
        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(call, number)

        rounds = [order[start : start + 4] for start in range(0, len(order), 4)]
        assert [order[:4]] * 5 == rounds
        assert {0, 1, 2, 3} == set(order[:4])
        assert 1 == server.connections


# Trio warns of what this test does; as an error the warning would keep the generator open.
@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")
@pytest.mark.parametrize("is_read", [False, True])
async def test_an_answer_that_is_dropped_gives_its_connection_back(
    is_read: bool, wire: Wire
) -> None:
    """Dropped before it is read, or half-way, it costs no slot."""
    transport = wire.make(PoolPolicy(max_connections=1))

    async def halting(server: Server, connected: Connected) -> None:
        if (await server.head(connected)).startswith(b"GET /half"):
            await connected.stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha")
            await server.head(connected)
        else:
            await connected.stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async def drop() -> None:
        request = client.build_request("GET", f"{server.url}/half")
        answer = await client.send(request, stream=True)
        if is_read:
            await anext(aiter(answer.stream))  # type: ignore[arg-type] # it is asynchronous

    async with serving(halting) as server, client_on(transport) as client:
        await drop()
        with anyio.fail_after(PATIENCE):
            while transport.in_flight:
                gc.collect()
                await checkpoint()
        after = await client.get(server.url)

        assert 200 == after.status_code
        assert 2 == server.connections
