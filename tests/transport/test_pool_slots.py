from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from wix_asgi._http import httpx
from wix_asgi.transport.policy import PoolPolicy
from wix_asgi.transport.pooled import PoolTransport

if TYPE_CHECKING:
    from tests.transport.conftest import Fakes

URL = "http://upstream.example/"
OTHER = "http://other.example/"


class TestSlots:
    async def test_a_connection_is_used_again(self, fakes: Fakes) -> None:
        """Calls in turn share one connection."""
        pool = PoolTransport(connect=fakes)

        assert [b"x", b"x", b"x"] == [await fakes.call(pool) for _ in range(3)]
        assert [3] == fakes.requests
        assert (0, 1) == (pool.in_flight, pool.idle)

    async def test_the_connection_used_last_is_used_first(self, fakes: Fakes) -> None:
        """Idle connections are handed out last in, first out."""
        pool = PoolTransport(connect=fakes)
        first, second, third = [await fakes.start(pool) for _ in range(3)]
        for response in (third, first, second):
            await response.aread()
        await fakes.call(pool)

        assert [1, 2, 1] == fakes.requests

    async def test_origins_do_not_share_connections(self, fakes: Fakes) -> None:
        """Scheme, host and port make an origin; the default port is the same as none."""
        pool = PoolTransport(connect=fakes)
        for url in (URL, OTHER, "https://upstream.example/", "http://upstream.example:81/"):
            await fakes.call(pool, url)
        await fakes.call(pool, "http://upstream.example:80/again")

        assert [2, 1, 1, 1] == fakes.requests

    async def test_requests_beyond_the_limit_wait_in_turn(self, fakes: Fakes) -> None:
        """The request that waited longest goes first, and the limit is never passed."""
        pool = PoolTransport(PoolPolicy(max_connections=2), connect=fakes)
        held = [await fakes.start(pool), await fakes.start(pool)]
        async with anyio.create_task_group() as tasks:
            for number in range(5):
                tasks.start_soon(fakes.call, pool, f"{URL}{number}")
                await anyio.wait_all_tasks_blocked()
            await held[0].aread()
            await anyio.wait_all_tasks_blocked()
            await held[1].aread()

        assert ["/", "/", "/0", "/1", "/2", "/3", "/4"] == fakes.order
        assert 2 == fakes.most_open
        assert (0, 2) == (pool.in_flight, pool.idle)

    async def test_the_oldest_idle_connection_makes_room(self, fakes: Fakes) -> None:
        """When idle connections to other origins fill the pool, the coldest one is closed first."""
        pool = PoolTransport(PoolPolicy(max_connections=3), connect=fakes)
        for url in ("http://a.example/", "http://b.example/", "http://c.example/"):
            await fakes.call(pool, url)
        await fakes.call(pool, "http://a.example/")
        await fakes.call(pool, "http://d.example/")

        assert [0, 2, 3] == fakes.open
        assert 3 == fakes.most_open

    async def test_two_newcomers_close_one_idle_connection_each(self, fakes: Fakes) -> None:
        """A connection that is still closing counts as open, and is closed once."""
        pool = PoolTransport(PoolPolicy(max_connections=2), connect=fakes)
        held = await fakes.start(pool)
        await fakes.call(pool, OTHER)
        await held.aread()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fakes.call, pool, "http://a.example/")
            tasks.start_soon(fakes.call, pool, "http://b.example/")

        assert [2, 3] == fakes.open
        assert 2 == fakes.most_open

    async def test_the_wait_for_a_slot_is_limited(self, fakes: Fakes) -> None:
        """The pool timeout of a request ends its wait, with an error that names the remedies."""
        pool = PoolTransport(PoolPolicy(max_connections=1), connect=fakes)
        held = await fakes.start(pool)
        request = httpx.Request("GET", URL, extensions={"timeout": {"pool": 0.01}})
        with pytest.raises(httpx.PoolTimeout) as caught:
            await pool.handle_async_request(request)
        await held.aread()

        assert (
            "All 1 connections were in use for 0.01 s. Make fewer calls at once, close responses "
            "that are streamed, or raise the pool timeout." == str(caught.value)
        )
        assert request is caught.value.request
        assert b"x" == await fakes.call(pool)

    async def test_a_cancelled_wait_takes_no_slot(self, fakes: Fakes) -> None:
        """A task that is cancelled while it waits leaves its turn to the next task."""
        pool = PoolTransport(PoolPolicy(max_connections=1), connect=fakes)
        held = await fakes.start(pool)
        async with anyio.create_task_group() as tasks:
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as cancelled:
                    cancelled.start_soon(fakes.call, pool, f"{URL}cancelled")
                    await anyio.wait_all_tasks_blocked()
                    tasks.start_soon(fakes.call, pool, f"{URL}next")
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
            await held.aread()

        assert ["/", "/next"] == fakes.order
        assert (0, 1) == (pool.in_flight, pool.idle)

    async def test_a_pool_has_one_connection_at_least(self) -> None:
        """A limit below one is refused at once."""
        with pytest.raises(ValueError, match="max_connections must be at least 1"):
            PoolPolicy(max_connections=0)

    async def test_a_connect_that_fails_costs_no_slot(self, fakes: Fakes) -> None:
        """An error of `connect` reaches the caller, and nothing counts as open."""
        errors = [RuntimeError("no socket")]

        def connect() -> httpx.AsyncBaseTransport:
            if errors:
                raise errors.pop()
            return fakes()

        pool = PoolTransport(PoolPolicy(max_connections=1), connect=connect)
        with pytest.raises(RuntimeError, match="no socket"):
            await fakes.call(pool)

        assert b"x" == await fakes.call(pool)
