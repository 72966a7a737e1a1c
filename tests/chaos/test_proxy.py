"""The faults that a proxy makes, seen from both ends of a connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chaos.proxy import Fault, Kind, Proxy

REQUEST, ANSWER = b"request", b"the answer of the server"


class Server:
    """Answers every request on a connection, and counts them."""

    def __init__(self) -> None:
        self.requests = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError):
            while await reader.read(100):
                self.requests += 1
                writer.write(ANSWER)
                await writer.drain()

    async def aclose(self) -> None:
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@pytest.fixture(name="server")
def _server() -> Server:
    return Server()


@pytest.fixture(name="proxy", params=["tcp", "unix"])
async def _proxy(
    server: Server, request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Proxy]:
    if request.param == "unix":
        listening = await asyncio.start_unix_server(server.serve, tmp_path / "server")
        proxy = Proxy(tmp_path / "server", room=tmp_path)
    else:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        proxy = Proxy(listening.sockets[0].getsockname()[:2])
    async with proxy:
        yield proxy
    listening.close()
    await server.aclose()


async def ask(proxy: Proxy, times: int = 1) -> bytes:
    """Send requests on one connection, one after another; return the last answer, cut or not."""
    if isinstance(proxy.address, Path):
        reader, writer = await asyncio.open_unix_connection(proxy.address)
    else:
        reader, writer = await asyncio.open_connection(*proxy.address)
    answer = b""
    try:
        with contextlib.suppress(OSError):
            for _ in range(times):
                answer = b""
                writer.write(REQUEST)
                while len(answer) < len(ANSWER) and (part := await reader.read(100)):
                    answer += part
    finally:
        writer.transport.abort()
    return answer


@pytest.mark.parametrize(
    ("kind", "arrived"),
    [
        ("refuse", 0),
        ("reset_before", 0),
        ("drop_answer", 1),
        ("reset_middle", 1),
        ("truncate", 1),
        ("corrupt", 1),
        ("latency", 1),
        ("bandwidth", 1),
        ("slices", 1),
    ],
)
async def test_a_fault_happens_once(server: Server, proxy: Proxy, kind: Kind, arrived: int) -> None:
    """The request arrives or does not, the answer comes or does not; then all is as before."""
    await proxy.arm(Fault(kind))
    try:
        answer = await ask(proxy)
    except OSError:
        answer = b""
    requests = server.requests
    await proxy.heal()

    assert arrived == requests
    assert (kind in {"latency", "bandwidth", "slices"}) == (ANSWER == answer)
    assert (kind == "corrupt") == (ANSWER != answer and len(ANSWER) == len(answer))
    assert 1 == proxy.struck
    assert ANSWER == await ask(proxy)


async def test_what_hangs_keeps_its_client_waiting(server: Server, proxy: Proxy) -> None:
    """Nothing arrives and nothing comes back, also when others are served again."""
    await proxy.arm(Fault("hang"))
    hanging = asyncio.ensure_future(ask(proxy))
    await proxy.has_struck()
    await proxy.heal()

    assert ANSWER == await ask(proxy)
    assert 1 == server.requests
    assert not hanging.done()
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)


async def test_a_fault_has_its_moment(server: Server, proxy: Proxy) -> None:
    """A fault waits for certain bytes of the client's, and for `after` writes that follow them."""
    await proxy.arm(Fault("reset_before", when=b"something else"))
    assert ANSWER == await ask(proxy)
    await proxy.arm(Fault("reset_before", when=REQUEST, after=2))
    assert ANSWER == await ask(proxy, 2)
    assert b"" == await ask(proxy, 3)
    assert 1 + 2 + 2 == server.requests
