"""RESPX answers for Wix: it patches the pool of httpcore, and not httpx."""

from __future__ import annotations

import respx

from tests.patching.expired import EXCHANGES, exchanges, expired
from wix_asgi.testing import FakeWix


async def test_respx_catches_calls_and_refreshes(fake: FakeWix) -> None:
    """The call, the refresh and the call's repetition are RESPX's to answer."""
    with respx.mock() as mock:
        mock.route().mock(side_effect=fake.transport.handle_async_request)
        async with expired(fake) as client:
            answer = await client.get("/echo")
        caught = exchanges(call.request for call in mock.calls)

    assert 200 == answer.status_code
    assert EXCHANGES == caught
