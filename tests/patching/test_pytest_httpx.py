"""pytest-httpx answers for Wix; its fixture is for the tests that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.patching.expired import EXCHANGES, exchanges, expired

if TYPE_CHECKING:
    from pytest_httpx import HTTPXMock

    from wix_asgi.testing import FakeWix


async def test_pytest_httpx_catches_calls_and_refreshes(
    httpx_mock: HTTPXMock, fake: FakeWix
) -> None:
    """The call, the refresh and the call's repetition are the fixture's to answer."""
    httpx_mock.add_callback(fake.transport.handle_async_request, is_reusable=True)
    async with expired(fake) as client:
        answer = await client.get("/echo")

    assert 200 == answer.status_code
    assert EXCHANGES == exchanges(httpx_mock.get_requests())
