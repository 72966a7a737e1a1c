from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import anyio
import pytest
from anyio.lowlevel import cancel_shielded_checkpoint, checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.limits import PATIENCE
from wix_asgi._http import httpx
from wix_asgi.transport.policy import PoolPolicy
from wix_asgi.transport.pooled import PoolTransport

if TYPE_CHECKING:
    from tests.transport.conftest import Fakes

URL = "http://upstream.example/"
OTHER = "http://other.example/"


@pytest.mark.parametrize(("step", "kept"), [("send", 0), ("read", 0), ("end", 1)])
async def test_a_cancelled_call_releases_its_slot(step: str, kept: int, fakes: Fakes) -> None:
    """A call cancelled midway closes its connection; a body read to the end keeps it."""
    pool = PoolTransport(PoolPolicy(max_connections=1), connect=fakes)
    reached, go_on = fakes.block(step)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fakes.call, pool)
        await reached.wait()
        tasks.cancel_scope.cancel()
        go_on.set()
    fakes.at.clear()

    assert (0, kept) == (pool.in_flight, pool.idle)
    assert b"x" == await fakes.call(pool)
    assert 1 == fakes.most_open


CANCELLATIONS = st.lists(
    st.tuples(
        st.integers(0, 40),  # checkpoints until it is cancelled
        st.sampled_from([URL, OTHER, "http://third.example/"]),
        st.sampled_from(["read", "close", "leave the block"]),
        st.integers(0, 8),  # checkpoints until it begins
    ),
    min_size=1,
    max_size=12,
)


async def _checkpoints(count: int) -> None:
    for _ in range(count):
        await checkpoint()


async def _finish(response: httpx.Response, how: str) -> None:
    if how == "read":
        await response.aread()
    elif how == "leave the block":
        assert isinstance(response.stream, httpx.AsyncByteStream)
        async for _ in response.stream:
            await checkpoint()
    await response.aclose()


async def _cancelled_call(pool: PoolTransport, after: int, url: str, how: str, late: int) -> None:
    await _checkpoints(late)
    async with anyio.create_task_group() as tasks:

        async def use() -> None:
            response = await pool.handle_async_request(httpx.Request("GET", url))
            try:
                await _finish(response, how)
            finally:
                await response.aclose()

        tasks.start_soon(use)
        await _checkpoints(after)
        tasks.cancel_scope.cancel()


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(plan=CANCELLATIONS, size=st.integers(1, 4), expiry=st.sampled_from([0.0, 30.0]))
async def test_no_cancellation_leaks_a_slot(
    plan: list[tuple[int, str, str, int]], size: int, expiry: float, fakes: Fakes
) -> None:
    """Cancelled at any moment, calls keep the limit, release their slots and are closed."""
    fakes = fakes.others(chunks=2)
    for step in ("send", "read", "end"):
        fakes.at[step] = partial(_checkpoints, 3)
    fakes.at["close"] = cancel_shielded_checkpoint
    pool = PoolTransport(PoolPolicy(max_connections=size, keepalive_seconds=expiry), connect=fakes)
    async with anyio.create_task_group() as tasks:
        for after, url, how, late in plan:
            tasks.start_soon(_cancelled_call, pool, after, url, how, late)

    assert fakes.most_open <= size
    assert 0 == pool.in_flight
    assert pool.idle == len(fakes.open)
    with anyio.fail_after(PATIENCE):
        held = [await fakes.start(pool) for _ in range(size)]
    for response in held:
        await response.aread()
    await pool.aclose()

    assert [] == fakes.open


class TestNativeCancellation:
    @pytest.fixture
    def anyio_backend(self) -> str:
        """Task.cancel() is asyncio's own, and does not stop at anyio's shields."""
        return "asyncio"

    async def test_no_cancellation_leaks_a_slot(self, fakes: Fakes) -> None:
        """Task.cancel() at any moment, and again during the release, loses no slot."""
        for first in range(30):
            for second in (0, 1, 2, 5):
                fakes = fakes.others(chunks=2)
                for step in ("send", "read", "end", "close"):
                    fakes.at[step] = partial(_checkpoints, 3)
                pool = PoolTransport(
                    PoolPolicy(max_connections=1, keepalive_seconds=0.0), connect=fakes
                )
                tasks = [asyncio.create_task(fakes.call(pool, url)) for url in (URL, OTHER, URL)]
                for wait in (first, second):
                    for _ in range(wait):
                        await asyncio.sleep(0)
                    for task in tasks:
                        task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

                assert (0, 0, []) == (pool.in_flight, pool.idle, fakes.open)
                assert fakes.most_open <= 1
                assert b"xx" == await fakes.call(pool)

    async def test_closing_releases_its_slot(self, fakes: Fakes) -> None:
        """Task.cancel() while the pool is closed loses no slot."""
        pool = PoolTransport(PoolPolicy(max_connections=1), connect=fakes)
        await fakes.call(pool)
        reached, _ = fakes.block("close")
        closing = asyncio.create_task(pool.aclose())
        await reached.wait()
        closing.cancel()
        await asyncio.gather(closing, return_exceptions=True)

        assert closing.cancelled()
        assert (0, 0, []) == (pool.in_flight, pool.idle, fakes.open)
