"""Answers that come before the request has been sent: to an upload that is not wanted."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

import anyio
import pytest

from tests.limits import PATIENCE
from tests.transport.corpus.conftest import PROBE, Step, Upload, Wire, client_on, settled
from tests.transport.test_pool_over_the_wire import Connected, Server, serving
from wix_asgi._http import httpx
from wix_asgi.transport.policy import PoolPolicy

ONE: Final = PoolPolicy(max_connections=1)
TOO_LARGE: Final = b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"
PART: Final = b"x" * 65536


class Refusing:
    """A server that answers an upload when it has its head; later requests get a probe.

    Attributes:
        has_answered: Set when it has.
    """

    def __init__(self, *, reads_on: bool) -> None:
        self._reads_on = reads_on
        self.has_answered = anyio.Event()

    async def __call__(self, server: Server, connected: Connected) -> None:
        with suppress(anyio.BrokenResourceError, anyio.EndOfStream):
            if (await server.head(connected)).startswith(b"GET"):
                await connected.stream.send(PROBE)
                return
            await connected.stream.send(TOO_LARGE)
            if self._reads_on:
                self.has_answered.set()
                while True:
                    await connected.stream.receive()
        if not self._reads_on:
            await connected.stream.aclose()
            self.has_answered.set()


@pytest.mark.parametrize("reads_on", [True, False])
async def test_an_upload_is_refused_meanwhile(wire: Wire, reads_on: bool) -> None:
    """The answer is read, be it that the server takes the rest or hangs up at once."""
    transport = wire.make(ONE)
    refusing = Refusing(reads_on=reads_on)
    rest: list[Step] = [settled, PART]
    upload = Upload(PART, refusing.has_answered.wait, *rest * 64)
    told: list[object] = []
    async with serving(refusing) as server, client_on(transport) as client:
        try:
            told += [(await client.send(upload.to(server.url))).text]
        except httpx.ReadError:
            told += [httpx.ReadError]
        probe = await client.get(server.url)

        assert ["no" if reads_on or wire.hears_while_sending else httpx.ReadError] == told
        assert "probe" == probe.text
        assert 2 == server.connections
        assert 0 == transport.in_flight


async def test_an_early_answer_that_keeps_the_connection_ends_it(wire: Wire) -> None:
    """A server that answers without reading the upload reads the next request as its rest."""
    transport = wire.make(ONE)
    answered = anyio.Event()

    async def early(server: Server, connected: Connected) -> None:
        if (await server.head(connected)).startswith(b"GET"):
            await connected.stream.send(PROBE)
            return
        await connected.stream.send(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno")
        answered.set()
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                await connected.stream.receive()

    upload = Upload(b"a", answered.wait, settled, b"b")
    async with serving(early) as server, client_on(transport) as client:
        with anyio.fail_after(PATIENCE):
            answer = await client.send(upload.to(server.url))

        assert (401, "no") == (answer.status_code, answer.text)
        assert 0 == transport.in_flight


async def test_a_server_that_does_not_read_holds_the_upload_up(wire: Wire) -> None:
    """What is not taken is not asked of the app: an upload of any size costs little memory."""
    transport = wire.make(ONE)
    upload = Upload(*[PART] * 4096)

    async def deaf(server: Server, connected: Connected) -> None:
        await server.head(connected)
        await anyio.sleep_forever()

    async with serving(deaf) as server, client_on(transport) as client:
        with pytest.raises(httpx.WriteTimeout):
            await client.send(upload.to(server.url, write=0.1))

        assert upload.given < 1024
        assert (0, 0) == (transport.in_flight, transport.idle)


async def test_an_answer_nobody_reads_is_not_received(wire: Wire) -> None:
    """A body that is not read holds its server up, and costs little memory."""
    transport = wire.make(ONE)
    sent: list[bytes] = []
    held_up = anyio.Event()

    async def generous(server: Server, connected: Connected) -> None:
        await server.head(connected)
        await connected.stream.send(b"HTTP/1.1 200 OK\r\n\r\n")
        with anyio.move_on_after(0.5):
            while len(sent) < 4096:
                await connected.stream.send(PART)
                sent.append(PART)
        held_up.set()

    async with (
        serving(generous) as server,
        client_on(transport) as client,
        client.stream("GET", server.url) as answer,
    ):
        with anyio.fail_after(PATIENCE):
            await held_up.wait()

        assert 200 == answer.status_code
        assert len(sent) < 1024
