"""How native connections are opened: addresses, TCP and TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute
from anyio.streams.tls import TLSListener

from tests.certificates import self_signed
from tests.limits import PATIENCE
from tests.transport.native_connections import OK, native, request_of
from tests.transport.test_pool_over_the_wire import keep_alive, serving
from wix_asgi._http import httpx
from wix_asgi.transport._dialing import dial


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, of which native connections are."""
    return "asyncio"


def no_tls() -> ssl.SSLContext:
    """Fail: no context is wanted for HTTP."""
    raise AssertionError


async def dialled(url: str, seconds: float = PATIENCE) -> str:
    """Return the address that a connection to `url` has reached."""
    connection = await dial(httpx.URL(url), no_tls, seconds)
    address: str = connection.get_extra_info("server_addr")[0]
    await connection.aclose()
    return address


class Addresses:
    """What the name `upstream.example` stands for.

    Attributes:
        found: The addresses.
        silent: Those that never answer.
        held: Those that answer when another has refused.
        tried: Those that were tried, in order.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._connect = loop.sock_connect
        self._look_up = loop.getaddrinfo
        self.found: list[str] = []
        self.silent: set[str] = set()
        self.tried: list[str] = []
        self.refused = anyio.Event()
        self.held: set[str] = set()
        monkeypatch.setattr(loop, "getaddrinfo", self.look_up)
        monkeypatch.setattr(loop, "sock_connect", self.connect)

    async def look_up(self, host: Any, port: int, **options: Any) -> list[Any]:
        """Return the addresses of the name, and what is so of all others."""
        if host != "upstream.example":
            return [*await self._look_up(host, port, **options)]
        found: list[tuple[Any, ...]] = []
        for address in self.found:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            found.append((family, socket.SOCK_STREAM, 6, "", (address, port)))
        return found

    async def connect(self, attempt: socket.socket, place: tuple[str, int]) -> None:
        """Connect, or never."""
        self.tried.append(place[0])
        if place[0] in self.silent:
            await asyncio.get_running_loop().create_future()
        if place[0] in self.held:
            await self.refused.wait()
        try:
            await self._connect(attempt, place)
        except OSError:
            self.refused.set()
            raise


@pytest.fixture
async def addresses(monkeypatch: pytest.MonkeyPatch) -> Addresses:
    """Return the addresses of each name."""
    return Addresses(monkeypatch)


def named(url: str) -> str:
    """Return the URL with a name instead of the address."""
    return url.replace("127.0.0.1", "upstream.example")


class TestAddresses:
    async def test_a_refused_address_is_followed_by_the_next(self, addresses: Addresses) -> None:
        """At once; nothing listens at 127.0.0.2."""
        addresses.found = ["127.0.0.2", "127.0.0.1"]
        async with serving(keep_alive) as server:
            assert "127.0.0.1" == await dialled(named(server.url))

        assert ["127.0.0.2", "127.0.0.1"] == addresses.tried

    async def test_a_silent_address_is_overtaken_by_the_next(self, addresses: Addresses) -> None:
        """A broken route of one family costs a moment, and not the request."""
        addresses.found = ["127.0.0.2", "127.0.0.1"]
        addresses.silent = {"127.0.0.2"}
        async with serving(keep_alive) as server:
            assert "127.0.0.1" == await dialled(named(server.url))

    async def test_the_last_one_left_is_waited_for(self, addresses: Addresses) -> None:
        """Though a later one has been refused meanwhile."""
        addresses.found = ["127.0.0.1", "127.0.0.2"]
        addresses.held = {"127.0.0.1"}
        async with serving(keep_alive) as server:
            assert "127.0.0.1" == await dialled(named(server.url))

    async def test_families_take_turns(self, addresses: Addresses) -> None:
        """That of the first address first."""
        addresses.found = ["::2", "::3", "127.0.0.2"]
        async with serving(keep_alive) as server:
            with pytest.raises(httpx.ConnectError, match="All connection attempts failed"):
                await dialled(named(server.url))

        assert ["::2", "127.0.0.2", "::3"] == addresses.tried

    async def test_an_address_that_comes_second_is_closed(
        self, addresses: Addresses, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Both connect at one moment, and one of them is wanted."""
        gate = anyio.Event()
        made: list[socket.socket] = []
        connect = addresses.connect

        async def together(attempt: socket.socket, place: tuple[str, int]) -> None:
            await connect(attempt, place)
            made.append(attempt)
            if len(made) == 2:
                gate.set()
            await gate.wait()

        monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", together)
        addresses.found = ["127.0.0.1", "127.0.0.1"]
        async with serving(keep_alive) as server:
            await dialled(named(server.url))
            await anyio.wait_all_tasks_blocked()

            assert [-1, -1] == [attempt.fileno() for attempt in made]

    async def test_an_address_is_given_up_with_the_request(self, addresses: Addresses) -> None:
        """`httpx.ConnectTimeout`, and no socket is left."""
        addresses.found = ["127.0.0.2", "127.0.0.3"]
        addresses.silent = {"127.0.0.2", "127.0.0.3"}
        with pytest.raises(httpx.ConnectTimeout):
            await dialled("http://upstream.example", 0.01)

    @pytest.mark.parametrize("host", ["name.invalid", f"{'x' * 64}.example"])
    async def test_a_name_that_nobody_has_is_a_connect_error(self, host: str) -> None:
        """So is one that cannot be a name."""
        with pytest.raises(httpx.ConnectError):
            await dialled(f"http://{host}/")


class TestTls:
    async def test_the_certificate_must_be_of_the_host(self, tmp_path: Path) -> None:
        """The host that is dialled, and signed by whom the context trusts (R39)."""
        key, certificate = self_signed(tmp_path, "127.0.0.1")
        served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        served.load_cert_chain(certificate, key)
        plain = await anyio.create_tcp_listener(local_host="127.0.0.1")
        listener = TLSListener(plain, served)
        port = plain.extra(SocketAttribute.local_port)  # noqa: S610

        async def answer(stream: anyio.abc.ByteStream) -> None:
            async with stream:
                with suppress(anyio.EndOfStream):
                    while await stream.receive():
                        await stream.send(OK)

        trusting = ssl.create_default_context(cafile=str(certificate))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listener.serve, answer)
            async with native(trusting) as connection:
                for _ in range(2):
                    response = await connection.handle_async_request(
                        request_of(f"https://127.0.0.1:{port}/")
                    )

                    assert b"ok" == await response.aread()
                told = response.extensions["network_stream"].get_extra_info("ssl_object")
                assert "TLSv1.3" == told.version()
                with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
                    await connection.handle_async_request(request_of(f"https://localhost:{port}/"))
            tasks.cancel_scope.cancel()
        await listener.aclose()

    async def test_a_handshake_has_its_limit(self) -> None:
        """The server takes the connection, and says nothing."""
        context = ssl.create_default_context()
        async with serving(keep_alive) as server, native(context) as connection:
            url = server.url.replace("http", "https")
            with pytest.raises(httpx.ConnectTimeout):
                await connection.handle_async_request(request_of(url, connect=0.2))
