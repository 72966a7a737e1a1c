"""What goes by httpcore on asyncio, too."""

from __future__ import annotations

import pytest
from anyio.lowlevel import checkpoint

from tests.transport.native_connections import native, read, request_of
from tests.transport.test_pool_over_the_wire import keep_alive, serving
from wix_asgi._http import httpx


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, of which native connections are."""
    return "asyncio"


class TestByHttpcore:
    @pytest.mark.parametrize(
        ("headers", "extensions"),
        [
            ({"Upgrade": "websocket"}, {}),
            ({}, {"sni_hostname": "other.example"}),
        ],
    )
    async def test_what_httpcore_alone_can_do_goes_by_it(
        self, headers: dict[str, str], extensions: dict[str, object]
    ) -> None:
        """The native connection is closed for it, and opened again afterwards."""
        async with serving(keep_alive) as server, native() as connection:
            for odd in (False, True, True, False):
                request = request_of(
                    server.url,
                    headers=headers if odd else {},
                    extensions=extensions if odd else {},
                )

                assert b"ok" == await read(connection, request)
                assert odd == (connection._fallback is not None)
                assert odd == (connection._connection is None)
            assert 3 == server.connections

    async def test_a_trace_is_told_of_the_request(self) -> None:
        """As the extension of httpcore promises."""
        told: list[str] = []

        async def trace(name: str, _: object) -> None:
            await checkpoint()
            told.append(name)

        async with serving(keep_alive) as server, native() as connection:
            await read(connection, request_of(server.url, extensions={"trace": trace}))

        assert "http11.send_request_headers.started" in told

    async def test_another_scheme_is_refused_as_by_httpx(self) -> None:
        """The error is httpx's own."""
        async with native() as connection:
            with pytest.raises(httpx.UnsupportedProtocol):
                await read(connection, request_of("ftp://upstream.example/"))
