from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import pytest

from tests.limits import PATIENCE
from wix_asgi._http import httpx
from wix_asgi.transport.policy import PoolPolicy
from wix_asgi.transport.pooled import PoolTransport

if TYPE_CHECKING:
    from tests.transport.conftest import Fakes


class TestReleasing:
    async def test_a_response_closed_early_costs_its_connection(self, fakes: Fakes) -> None:
        """A body that was not read to its end leaves its connection unfit for another request."""
        fakes.chunks = 3
        pool = PoolTransport(connect=fakes)
        response = await fakes.start(pool)
        await response.aclose()

        assert [] == fakes.open
        assert (0, 0) == (pool.in_flight, pool.idle)

    async def test_a_body_that_fails_costs_its_connection(self, fakes: Fakes) -> None:
        """An error while reading reaches the caller and closes the connection."""
        fakes.fail("read", httpx.ReadError("reset"))
        pool = PoolTransport(connect=fakes)
        with pytest.raises(httpx.ReadError, match="reset"):
            await fakes.call(pool)

        assert [] == fakes.open
        assert (0, 0) == (pool.in_flight, pool.idle)

    async def test_a_request_that_fails_costs_its_connection(self, fakes: Fakes) -> None:
        """An error while sending reaches the caller and closes the connection."""
        fakes.fail("send", httpx.ConnectError("refused"))
        pool = PoolTransport(connect=fakes)
        with pytest.raises(httpx.ConnectError, match="refused"):
            await fakes.call(pool)

        assert [] == fakes.open
        assert (0, 0) == (pool.in_flight, pool.idle)

    async def test_a_slot_is_released_once(self, fakes: Fakes) -> None:
        """Reading to the end, closing and closing again release one slot, not three."""
        pool = PoolTransport(PoolPolicy(max_connections=2), connect=fakes)
        response = await fakes.start(pool)
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        chunks = [chunk async for chunk in stream]
        body_again = [chunk async for chunk in stream]
        held = await fakes.start(pool)
        await stream.aclose()
        await stream.aclose()

        assert ([b"x"], []) == (chunks, body_again)
        assert 1 == pool.in_flight
        await held.aclose()

    async def test_a_body_read_without_httpx_releases_the_slot(self, fakes: Fakes) -> None:
        """The end of the body releases the slot: the response need not be closed."""
        pool = PoolTransport(connect=fakes)
        response = await fakes.start(pool)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        async for _ in response.stream:
            pass

        assert (0, 1) == (pool.in_flight, pool.idle)

    async def test_a_response_without_a_stream_releases_the_slot(self, fakes: Fakes) -> None:
        """A response that is complete already, as of MockTransport, holds no slot."""
        pool = PoolTransport(connect=lambda: httpx.MockTransport(lambda _: httpx.Response(204)))
        response = await fakes.start(pool)

        assert 204 == response.status_code
        assert (0, 1) == (pool.in_flight, pool.idle)

    async def test_a_body_that_does_not_close_cleanly_costs_its_connection(
        self, fakes: Fakes
    ) -> None:
        """An error while the body is closed releases the slot all the same."""
        fakes.fail("end", httpx.ReadError("reset"))
        pool = PoolTransport(connect=fakes)
        with pytest.raises(httpx.ReadError, match="reset"):
            await fakes.call(pool)

        assert [] == fakes.open
        assert (0, 0) == (pool.in_flight, pool.idle)

    async def test_closing_that_hangs_is_abandoned(self, fakes: Fakes) -> None:
        """A connection that cannot be closed holds its slot for `close_seconds` only."""
        fakes.at["end"] = fakes.at["close"] = anyio.sleep_forever
        pool = PoolTransport(PoolPolicy(close_seconds=0.01), connect=fakes)
        with anyio.fail_after(PATIENCE):
            await fakes.call(pool)

        assert [] == fakes.open
        assert (0, 0) == (pool.in_flight, pool.idle)

    async def test_an_error_while_closing_is_logged_only(
        self, caplog: pytest.LogCaptureFixture, fakes: Fakes
    ) -> None:
        """A connection that fails to close is logged by the kind of error, without its text."""
        caplog.set_level("DEBUG", "wix_asgi.transport")
        fakes.fail("close", OSError("https://a.example/?token=test-secret-0123456789"))
        pool = PoolTransport(connect=fakes)
        await (await fakes.start(pool)).aclose()

        assert ["A connection did not close cleanly: OSError"] == caplog.messages
        assert 0 == pool.in_flight
