from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from wix_asgi._http import httpx
from wix_asgi.transport.pooled import PoolTransport

if TYPE_CHECKING:
    from tests.transport.conftest import Fakes

URL = "http://upstream.example/"
OTHER = "http://other.example/"


class TestRepeating:
    LOST = httpx.RemoteProtocolError("Server disconnected without sending a response.")

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"])
    @pytest.mark.parametrize("error", [LOST, httpx.ReadError("reset"), httpx.WriteError("pipe")])
    async def test_a_stale_connection_is_replaced(
        self, method: str, error: Exception, fakes: Fakes
    ) -> None:
        """A call that may be repeated is repeated on a new connection."""
        pool = PoolTransport(connect=fakes)
        await fakes.call(pool)
        fakes.fail("send", error)

        assert b"x" == await fakes.call(pool, method=method)
        assert [2, 1] == fakes.requests
        assert [1] == fakes.open

    async def test_a_call_is_repeated_once(self, fakes: Fakes) -> None:
        """When the fresh connection fails as well, the error is the caller's."""
        pool = PoolTransport(connect=fakes)
        await fakes.call(pool)
        fakes.fail("send", self.LOST, self.LOST)
        with pytest.raises(httpx.RemoteProtocolError):
            await fakes.call(pool)

        assert [2, 1] == fakes.requests
        assert (0, 0) == (pool.in_flight, pool.idle)

    async def test_a_fresh_connection_is_not_replaced(self, fakes: Fakes) -> None:
        """A call is not repeated when the server hangs up on a new connection."""
        fakes.fail("send", self.LOST)
        with pytest.raises(httpx.RemoteProtocolError):
            await fakes.call(PoolTransport(connect=fakes))

        assert [1] == fakes.requests

    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    async def test_a_call_that_must_not_be_repeated_is_not(self, method: str, fakes: Fakes) -> None:
        """A POST or PATCH is sent once, even if it is lost (R26)."""
        pool = PoolTransport(connect=fakes)
        await fakes.call(pool)
        fakes.fail("send", self.LOST)
        with pytest.raises(httpx.RemoteProtocolError):
            await fakes.call(pool, method=method)

        assert [2] == fakes.requests

    async def test_a_body_that_can_be_sent_once_is_not_repeated(self, fakes: Fakes) -> None:
        """A PUT whose body is a generator is sent once."""

        async def body() -> AsyncIterator[bytes]:
            yield b"once"

        pool = PoolTransport(connect=fakes)
        await fakes.call(pool)
        fakes.fail("send", self.LOST)
        with pytest.raises(httpx.RemoteProtocolError):
            await pool.handle_async_request(httpx.Request("PUT", URL, content=body()))

        assert [2] == fakes.requests

    @pytest.mark.parametrize("closes", [False, True])
    async def test_an_upload_is_repeated_while_its_file_is_open(
        self, fakes: Fakes, closes: bool
    ) -> None:
        """A PUT of a file is repeated, unless the file was closed meanwhile."""
        file = io.BytesIO(b"content")

        async def lose() -> None:
            if closes:
                file.close()
            await once()

        pool = PoolTransport(connect=fakes)
        await fakes.call(pool)
        fakes.fail("send", self.LOST)
        once, fakes.at["send"] = fakes.at["send"], lose
        with pytest.raises(httpx.RemoteProtocolError) if closes else contextlib.nullcontext():
            await pool.handle_async_request(httpx.Request("PUT", URL, files={"f": file}))

        assert ([2] if closes else [2, 1]) == fakes.requests

    async def test_a_timeout_is_not_repeated(self, fakes: Fakes) -> None:
        """A server that does not answer in time is not asked again."""
        pool = PoolTransport(connect=fakes)
        await fakes.call(pool)
        fakes.fail("send", httpx.ReadTimeout("slow"))
        with pytest.raises(httpx.ReadTimeout):
            await fakes.call(pool)

        assert [2] == fakes.requests
