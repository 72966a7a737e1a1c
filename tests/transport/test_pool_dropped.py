"""Answers that are dropped without being closed: their slots come back."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any, cast

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.limits import PATIENCE
from wix_asgi._http import httpx
from wix_asgi.transport.policy import PoolPolicy
from wix_asgi.transport.pooled import PoolTransport

URL = "http://upstream.example/"

if TYPE_CHECKING:
    from tests.transport.conftest import Fakes


@pytest.fixture(name="pool")
def _pool_of_one(fakes: Fakes) -> PoolTransport:
    fakes.chunks = 3
    return PoolTransport(PoolPolicy(max_connections=1), connect=fakes)


async def _until_free(pool: PoolTransport) -> None:
    with anyio.fail_after(PATIENCE):
        while pool.in_flight:
            await checkpoint()


@pytest.mark.parametrize("chunks", [0, 1])
async def test_a_dropped_answer_gives_its_slot_back(
    fakes: Fakes, pool: PoolTransport, chunks: int
) -> None:
    """Unread or read half-way; the next request closes the connection, and opens another."""
    response = await fakes.start(pool)
    body = aiter(cast("httpx.AsyncByteStream", response.stream))
    for _ in range(chunks):
        await anext(body)
    del response, body
    await _until_free(pool)

    assert b"xxx" == await fakes.call(pool)
    assert [1, 1] == fakes.requests
    assert [1] == fakes.open
    assert 1 == fakes.most_open


async def test_a_waiting_request_gets_the_slot(fakes: Fakes, pool: PoolTransport) -> None:
    """Though no other request ends, which would have woken it."""
    held = [await fakes.start(pool)]
    bodies: list[bytes] = []

    async def call() -> None:
        bodies.append(await fakes.call(pool))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await anyio.wait_all_tasks_blocked()
            held.clear()

    assert [b"xxx"] == bodies


async def test_an_answer_in_a_cycle_is_dropped_by_the_collector(
    fakes: Fakes, pool: PoolTransport
) -> None:
    """As httpx's own answers are, whose body refers to them."""
    async with httpx.AsyncClient(transport=pool) as client:
        request = client.build_request("GET", "http://upstream.example/")
        response = await client.send(request, stream=True)
        assert 1 == pool.in_flight
        del response
        gc.collect()
        await _until_free(pool)

        assert 200 == (await client.get("http://upstream.example/")).status_code


async def test_garbage_is_collected_before_a_request_gets_no_connection(fakes: Fakes) -> None:
    """An idle process would not collect the answers that hold its connections for minutes."""
    fakes.chunks = 3
    pool = PoolTransport(PoolPolicy(max_connections=1, collect_wait=PATIENCE), connect=fakes)
    seconds = {"pool": 0.0}
    gc.disable()
    try:
        async with httpx.AsyncClient(transport=pool) as client:
            request = client.build_request("GET", "http://upstream.example/")
            await client.send(request, stream=True)
            request.extensions["timeout"] = seconds
            answer = await client.send(request)
    finally:
        gc.enable()

    assert 200 == answer.status_code


async def test_a_busy_pool_does_not_collect_garbage_all_the_time(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that get no connection have garbage collected once a minute."""
    collections: list[None] = []
    monkeypatch.setattr(gc, "collect", lambda: collections.append(None))
    pool = PoolTransport(PoolPolicy(max_connections=1, collect_wait=0.0), connect=fakes)
    held = await fakes.start(pool)
    for _ in range(2):
        request = httpx.Request("GET", URL, extensions={"timeout": {"pool": 0.0}})
        with pytest.raises(httpx.PoolTimeout):
            await pool.handle_async_request(request)
    await held.aclose()

    assert 1 == len(collections)


async def test_another_thread_may_collect_it(fakes: Fakes, pool: PoolTransport) -> None:
    """The slot goes back on the loop of its pool."""
    held: list[Any] = [await fakes.start(pool)]
    thread = threading.Thread(target=held.clear)
    thread.start()
    thread.join()
    await _until_free(pool)

    assert b"xxx" == await fakes.call(pool)


def test_an_answer_may_outlive_its_loop(
    anyio_backend: str, fakes: Fakes, pool: PoolTransport
) -> None:
    """Collected when its loop is over, it harms nobody."""
    held: list[Any] = []

    async def start() -> None:
        held.append(await fakes.start(pool))

    anyio.run(start, backend=anyio_backend)
    held.clear()

    assert b"xxx" == anyio.run(fakes.call, pool, backend=anyio_backend)


async def test_a_dropped_connection_makes_room_for_another(fakes: Fakes) -> None:
    """So that there are never more connections than slots."""
    fakes.chunks = 3
    pool = PoolTransport(PoolPolicy(max_connections=1), connect=fakes)
    held = [await fakes.start(pool)]
    reached, go_on = fakes.block("send")
    async with anyio.create_task_group() as tasks:
        held.clear()
        await _until_free(pool)
        tasks.start_soon(fakes.call, pool, "http://other.example/")
        await reached.wait()
        go_on.set()

    assert [1] == fakes.open
    assert 1 == fakes.most_open


async def test_it_is_logged_once(
    fakes: Fakes, pool: PoolTransport, caplog: pytest.LogCaptureFixture
) -> None:
    """One line a minute and host tells of answers that were dropped; closed ones cause none."""
    for _ in range(3):
        await fakes.start(pool)
        await _until_free(pool)
    await fakes.call(pool)
    closed = await fakes.start(pool)
    await closed.aclose()

    assert 1 == len(caplog.messages)
    assert "an answer of http://upstream.example was dropped" in caplog.text
