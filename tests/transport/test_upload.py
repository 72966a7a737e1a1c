"""Bodies of requests on native connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import pytest

from tests.transport.native_connections import OK, native, request_of
from tests.transport.test_pool_over_the_wire import Connected, Server, serving
from wix_asgi._http import httpx

TOO_LARGE = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig"


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, of which native connections are."""
    return "asyncio"


async def parts(*given: bytes) -> AsyncIterator[bytes]:
    """Give a body in parts."""
    for part in given:
        yield part


class Reader:
    """A server that keeps what it is sent behind a head, and answers when it has all.

    Attributes:
        end: What the last request ends with.
    """

    def __init__(self, end: bytes) -> None:
        self.end = end
        self.body = b""

    async def __call__(self, server: Server, connected: Connected) -> None:
        while await server.head(connected):
            self.body = b""
            while not self.body.endswith(self.end):
                self.body += await connected.reader.receive()
            await connected.stream.send(OK)


@pytest.mark.parametrize("size", [10, 8_000_000])
async def test_a_body_in_memory_is_sent_whole(size: int) -> None:
    """With the head, or behind it where it is long."""
    body = b"x" * size + b"."
    reader = Reader(b".")
    async with serving(reader) as server, native() as connection:
        for _ in range(2):
            request = request_of(server.url, "POST", content=body)
            await (await connection.handle_async_request(request)).aread()

        assert body == reader.body
        assert 1 == server.connections


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "3"}])
async def test_a_body_in_parts_is_sent_as_its_head_says(headers: dict[str, str]) -> None:
    """In chunks, or with its length; empty parts are no last chunk."""
    reader = Reader(b"c" if headers else b"0\r\n\r\n")
    async with serving(reader) as server, native() as connection:
        request = request_of(server.url, "POST", content=parts(b"ab", b"", b"c"), headers=headers)
        await (await connection.handle_async_request(request)).aread()

        assert (b"abc" if headers else b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n") == reader.body


@pytest.mark.parametrize("body", [b"abc", b""])
async def test_a_body_in_memory_may_be_declared_chunked(body: bytes) -> None:
    """Then it is one chunk, or none."""
    reader = Reader(b"0\r\n\r\n")
    async with serving(reader) as server, native() as connection:
        request = request_of(
            server.url, "POST", content=body, headers={"Transfer-Encoding": "chunked"}
        )
        await (await connection.handle_async_request(request)).aread()

        assert (b"3\r\nabc\r\n" if body else b"") + b"0\r\n\r\n" == reader.body


@pytest.mark.parametrize(
    ("content", "length", "message"),
    [
        (b"abc", "2", "Too much data for declared Content-Length"),
        (b"abc", "4", "Too little data for declared Content-Length"),
        (parts(b"ab", b"c"), "2", "Too much data for declared Content-Length"),
        (parts(b"ab", b"c"), "4", "Too little data for declared Content-Length"),
    ],
)
async def test_a_body_has_the_length_that_its_head_declares(
    content: bytes | AsyncIterator[bytes], length: str, message: str
) -> None:
    """What is too much would be read as another request."""

    async def until_gone(server: Server, connected: Connected) -> None:
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                await connected.reader.receive()

    async with serving(until_gone) as server, native() as connection:
        request = request_of(
            server.url, "POST", content=content, headers={"Content-Length": length}
        )
        with pytest.raises(httpx.LocalProtocolError, match=message):
            await connection.handle_async_request(request)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "100000000"}])
async def test_an_answer_before_the_end_of_an_upload_is_read(headers: dict[str, str]) -> None:
    """The server refuses the body and hangs up; its connection is not used again."""

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1_000):
            yield b"x" * 100_000

    async def refusing(server: Server, connected: Connected) -> None:
        await server.head(connected)
        await connected.stream.send(TOO_LARGE)
        await connected.stream.send_eof()
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                await connected.reader.receive()

    async with serving(refusing) as server, native() as connection:
        for _ in range(2):
            request = request_of(server.url, "PUT", content=endless(), headers=headers)
            response = await connection.handle_async_request(request)

            assert (413, b"big") == (response.status_code, await response.aread())
        assert 2 == server.connections


async def test_a_long_body_in_memory_meets_an_early_answer() -> None:
    """It stops where the server has hung up."""

    async def refusing(server: Server, connected: Connected) -> None:
        await server.head(connected)
        await connected.stream.send(TOO_LARGE)
        await connected.stream.send_eof()
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                await connected.reader.receive(1)

    async with serving(refusing) as server, native() as connection:
        request = request_of(server.url, "PUT", content=b"x" * 50_000_000)
        response = await connection.handle_async_request(request)

        assert (413, b"big") == (response.status_code, await response.aread())


async def test_an_upload_that_fails_costs_the_connection() -> None:
    """The error is that of the app's own stream."""

    async def failing() -> AsyncIterator[bytes]:
        yield b"x"
        raise RuntimeError("no file")

    reader = Reader(b".")
    async with serving(reader) as server, native() as connection:
        with suppress(anyio.EndOfStream):
            request = request_of(server.url, "PUT", content=failing())
            with pytest.raises(RuntimeError, match="no file"):
                await connection.handle_async_request(request)

        assert connection._connection is not None
        assert not connection._connection.is_usable
