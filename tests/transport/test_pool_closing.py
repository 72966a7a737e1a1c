from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from tests.limits import PATIENCE
from wix_asgi._http import httpx
from wix_asgi.transport import _pool
from wix_asgi.transport.policy import PoolPolicy
from wix_asgi.transport.pooled import PoolTransport

if TYPE_CHECKING:
    from tests.transport.conftest import Fakes

URL = "http://upstream.example/"
OTHER = "http://other.example/"


class TestExpiry:
    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """Return a clock: a list whose one number the test sets."""
        now = [1000.0]
        monkeypatch.setattr(_pool, "monotonic", lambda: now[0])
        return now

    async def test_an_old_connection_is_not_used_again(
        self, clock: list[float], fakes: Fakes
    ) -> None:
        """A connection that is idle for `keepalive_expiry` is closed by the next call."""
        pool = PoolTransport(PoolPolicy(keepalive_seconds=30.0), connect=fakes)
        await fakes.call(pool)
        clock[0] += 29.9
        await fakes.call(pool)
        clock[0] += 30.0
        await fakes.call(pool)

        assert [2, 1] == fakes.requests
        assert [1] == fakes.open

    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    async def test_a_request_that_is_sent_once_takes_no_connection_that_may_be_closing(
        self, method: str, clock: list[float], fakes: Fakes
    ) -> None:
        """A call that must not be repeated goes on a connection used less than a second ago (R26).

        A server hangs up on idle connections when it likes, be it while a request is on its way.
        """
        pool = PoolTransport(connect=fakes)
        await fakes.call(pool, method=method)
        clock[0] += 0.9
        await fakes.call(pool, method=method)
        clock[0] += 1.0
        await fakes.call(pool, method=method)

        assert [2, 1] == fakes.requests

    async def test_a_connection_left_alone_serves_a_repeatable_call(
        self, clock: list[float], fakes: Fakes
    ) -> None:
        """A connection too old for a POST is kept for calls that may be repeated."""
        pool = PoolTransport(connect=fakes)
        await fakes.call(pool)
        clock[0] += 1.0
        posted = await fakes.start(pool, method="POST")
        for _ in range(2):
            await fakes.call(pool)
        await posted.aclose()

        assert [3, 1] == fakes.requests

    async def test_old_connections_of_other_origins_go_too(
        self, clock: list[float], fakes: Fakes
    ) -> None:
        """Any call closes the connections that are too old, and leaves the rest."""
        pool = PoolTransport(PoolPolicy(keepalive_seconds=30.0), connect=fakes)
        await fakes.call(pool, "http://a.example/")
        await fakes.call(pool, "http://b.example/")
        clock[0] += 20.0
        await fakes.call(pool, "http://c.example/")
        clock[0] += 20.0
        await fakes.call(pool, "http://d.example/")

        assert [2, 3] == fakes.open

    async def test_the_end_of_a_call_closes_old_connections(
        self, clock: list[float], fakes: Fakes
    ) -> None:
        """A connection that became too old during a long call is closed at the end of that call."""
        pool = PoolTransport(PoolPolicy(keepalive_seconds=30.0), connect=fakes)
        held = await fakes.start(pool)
        await fakes.call(pool, OTHER)
        clock[0] += 40.0
        await held.aread()

        assert [0] == fakes.open


class TestClosing:
    async def test_idle_connections_are_closed(self, fakes: Fakes) -> None:
        """Closing closes the idle connections; closing again changes nothing."""
        pool = PoolTransport(connect=fakes)
        await fakes.call(pool)
        await fakes.call(pool, OTHER)
        await pool.aclose()
        await pool.aclose()

        assert [] == fakes.open
        assert (0, 0) == (pool.in_flight, pool.idle)

    async def test_a_closed_pool_can_be_used_again(self, fakes: Fakes) -> None:
        """After closing, connections are opened and kept as before."""
        pool = PoolTransport(connect=fakes)
        await fakes.call(pool)
        await pool.aclose()
        await fakes.call(pool)
        await fakes.call(pool)

        assert [1, 2] == fakes.requests

    async def test_calls_in_flight_end_well_and_are_closed_then(self, fakes: Fakes) -> None:
        """Closing breaks no call; the connection of a call is closed when the call ends."""
        pool = PoolTransport(connect=fakes)
        held = await fakes.start(pool)
        await pool.aclose()

        assert [0] == fakes.open
        assert b"x" == await held.aread()
        assert [] == fakes.open

    async def test_closing_does_not_wait_for_a_slot(self, fakes: Fakes) -> None:
        """Closing returns though all slots are taken; each connection is closed on its release."""
        pool = PoolTransport(PoolPolicy(max_connections=1), connect=fakes)
        held = await fakes.start(pool)
        with anyio.fail_after(PATIENCE):
            await pool.aclose()
        await held.aread()

        assert [] == fakes.open

    async def test_a_cancelled_close_closes_all(self, fakes: Fakes) -> None:
        """Cancelling `aclose` neither loses a slot nor leaves a connection open."""
        pool = PoolTransport(PoolPolicy(max_connections=2), connect=fakes)
        held = await fakes.start(pool)
        await fakes.call(pool, OTHER)
        await held.aread()
        with anyio.CancelScope() as scope:
            scope.cancel()
            await pool.aclose()

        assert [] == fakes.open
        assert 0 == pool.in_flight

    async def test_a_client_closes_it(self, fakes: Fakes) -> None:
        """An AsyncClient that owns the pool closes it."""
        async with httpx.AsyncClient(transport=PoolTransport(connect=fakes)) as client:
            await client.get(URL)

        assert [] == fakes.open
