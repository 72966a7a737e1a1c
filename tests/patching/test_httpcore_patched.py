"""Whoever patches httpcore's pool, as VCR.py did until 8.2, has each request go through it."""

from __future__ import annotations

from unittest.mock import patch

import httpcore

from tests.patching.expired import EXCHANGES, exchanges, expired
from wix_asgi._http import httpx
from wix_asgi.testing import FakeWix


async def test_a_patched_pool_of_httpcore_catches_calls_and_refreshes(fake: FakeWix) -> None:
    """The client goes by httpcore while it is patched, and no longer afterwards."""
    caught: list[httpx.Request] = []

    async def answered(
        _: httpcore.AsyncConnectionPool, request: httpcore.Request
    ) -> httpcore.Response:
        path = request.url.target.decode()
        # The type is of sync requests, too.
        body = b"".join([part async for part in request.stream])  # type: ignore[union-attr]
        again = httpx.Request(
            request.method.decode(), fake.url + path, headers=request.headers, content=body
        )
        caught.append(again)
        response = await fake.transport.handle_async_request(again)
        content = await response.aread()
        return httpcore.Response(
            response.status_code, headers=response.headers.raw, content=content
        )

    with fake.serve():
        async with expired(fake) as client:
            with patch.object(httpcore.AsyncConnectionPool, "handle_async_request", answered):
                during = await client.get("/echo")
            told = len(caught)
            after = await client.get("/echo")

    assert [200, 200] == [during.status_code, after.status_code]
    assert EXCHANGES == exchanges(caught)
    assert len(caught) == told
