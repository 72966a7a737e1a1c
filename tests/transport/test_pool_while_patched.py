"""The promises of the pool while something has patched httpx, as a tracer of all of httpx has."""

from __future__ import annotations

from typing import Any

import pytest

from tests.transport import test_pool_over_the_wire as wire
from wix_asgi._http import httpx
from wix_asgi.transport.pooled import PoolTransport


class TestWhilePatched(wire.TestOverTheWire):
    """On asyncio, too, requests go by httpcore, and the patch sees each."""

    @pytest.fixture(autouse=True)
    def seen(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Return the methods of the requests that the patch has seen."""
        seen: list[str] = []
        genuine = httpx.AsyncHTTPTransport.handle_async_request

        async def wrapper(transport: httpx.AsyncHTTPTransport, request: Any) -> httpx.Response:
            seen.append(request.method)
            return await genuine(transport, request)

        monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", wrapper)
        return seen

    async def test_each_request_is_seen(self, seen: list[str]) -> None:
        """Those on a connection that is used again, too."""
        async with (
            wire.serving(wire.keep_alive) as server,
            wire.client_of(PoolTransport()) as client,
        ):
            for method in ("GET", "POST", "PUT"):
                await client.request(method, server.url)

        assert ["GET", "POST", "PUT"] == seen
        assert 1 == server.connections
