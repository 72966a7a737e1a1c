"""The bytes of requests: the same on each transport."""

from __future__ import annotations

from typing import Any, Final

import anyio
import pytest

from tests.limits import PATIENCE
from tests.transport.corpus.conftest import Upload, Wire, client_on
from tests.transport.test_pool_over_the_wire import Connected, Server, keep_alive, serving
from wix_asgi._http import httpx
from wix_asgi.transport.policy import PoolPolicy

ONE: Final = PoolPolicy(max_connections=1)
OWN: Final = {
    "Host": "a",
    "Accept": "b",
    "Accept-Encoding": "c",
    "Connection": "d",
    "User-Agent": "e",
}
"""In the place of those that httpx adds, of which some have its version."""


async def recorded(server: Server, connected: Connected) -> None:
    """Note all bytes of a connection, and answer when an upload has come to its end."""
    said = bytearray()
    while not said.endswith((b"\r\n0\r\n\r\n", b"END")):
        said += await connected.stream.receive()
    server.requests.append(bytes(said))
    await connected.stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


HEADS: Final[list[tuple[str, str, dict[str, Any], bytes]]] = [
    ("GET", "/", {}, b"GET / HTTP/1.1\r\n"),
    ("GET", "/a b?c=d&e=%2F#f", {}, b"GET /a%20b?c=d&e=%2F HTTP/1.1\r\n"),
    ("GET", "/\xe4", {}, b"GET /%C3%A4 HTTP/1.1\r\n"),
    ("BREW", "/", {}, b"BREW / HTTP/1.1\r\n"),
    ("HEAD", "/", {}, b"HEAD / HTTP/1.1\r\n"),
    ("OPTIONS", "/", {"extensions": {"target": b"*"}}, b"OPTIONS * HTTP/1.1\r\n"),
]


@pytest.mark.parametrize(("method", "path", "options", "line"), HEADS)
async def test_the_first_line_of_a_request(
    method: str, path: str, options: dict[str, Any], line: bytes, wire: Wire
) -> None:
    """The method goes as it is, the target as httpx has it, or as the extension says."""
    async with serving(keep_alive) as server, client_on(wire.make(ONE)) as client:
        # To HEAD the server's body is rubbish.
        await client.request(method, server.url + path, headers=OWN, **options)

    lines = "\r\n".join(f"{name}: {value}" for name, value in OWN.items())
    assert line + lines.encode() == server.requests[0]


async def test_headers_go_as_they_are(wire: Wire) -> None:
    """Their order, their letters, repeated names, empty values and raw bytes are kept."""
    headers = [
        (b"hOsT", b"a"),
        (b"X", b"1"),
        (b"Accept", b"b"),
        (b"x", b"2"),
        (b"Accept-Encoding", b"c"),
        (b"Empty", b""),
        (b"Connection", b"keep-alive"),
        (b"Raw", b"\xc3\xa4\xff"),
    ]
    async with serving(keep_alive) as server, client_on(wire.make(ONE)) as client:
        client.headers.clear()
        await client.get(server.url, headers=headers)

    lines = [b"GET / HTTP/1.1", *(b"%b: %b" % pair for pair in headers)]
    assert b"\r\n".join(lines) == server.requests[0]


BAD: Final[list[dict[str, Any]]] = [
    {"headers": {"X": "a\r\nY: b"}},
    {"headers": {"X": "a\nb"}},
    {"headers": {"X": "a\rb"}},
    {"headers": {"X": "a\0b"}},
    {"headers": {"X\r\nY": "b"}},
    {"headers": {"X Y": "b"}},
    {"headers": {"X:": "b"}},
    {"headers": {"": "b"}},
    {"headers": {"Content-Length": "two"}},
    {"headers": {"Content-Length": "-2"}},
    {"headers": {"Transfer-Encoding": "gzip"}},
    {"method": "GE T"},
    {"method": "GET / HTTP/1.1\r\nX:"},
    {"method": ""},
    {"extensions": {"target": b"/ HTTP/1.1\r\nX: y"}},
    {"extensions": {"target": b"/a b"}},
]


@pytest.mark.parametrize("bad", BAD, ids=str)
async def test_a_request_that_would_be_another_is_not_sent(bad: dict[str, Any], wire: Wire) -> None:
    """Line ends in a header, a method or a target, and bad names, are the caller's error."""
    transport = wire.make(ONE)
    async with serving(keep_alive) as server, client_on(transport) as client:
        with pytest.raises(httpx.LocalProtocolError):
            await client.request(**{"method": "GET", "url": server.url, **bad})
        after = await client.get(server.url)

        assert "ok" == after.text
        assert 1 == len(server.requests)
        assert 0 == transport.in_flight


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ([b"ok"], b"2\r\nok\r\n0\r\n\r\n"),
        ([b"o", b"k"], b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n"),
        ([b"", b"ok", b""], b"2\r\nok\r\n0\r\n\r\n"),
        ([b"x" * 17], b"11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n"),
        ([], b"0\r\n\r\n"),
    ],
)
async def test_a_stream_without_a_length_goes_in_chunks(
    given: list[bytes], sent: bytes, wire: Wire
) -> None:
    """Each part is a chunk; an empty one is none, for it would end the body."""
    async with serving(recorded) as server, client_on(wire.make(ONE)) as client:
        with anyio.fail_after(PATIENCE):
            await client.send(Upload(*given).to(server.url))
    head, _, body = server.requests[0].partition(b"\r\n\r\n")

    assert b"transfer-encoding: chunked" in head.lower()
    assert b"content-length" not in head.lower()
    assert sent == body


async def test_a_stream_of_the_length_that_was_said_goes_plainly(wire: Wire) -> None:
    """With a Content-Length the parts go one behind the other."""
    async with serving(recorded) as server, client_on(wire.make(ONE)) as client:
        await client.send(Upload(b"at ", b"the ", b"END").to(server.url, length=10))
    head, _, body = server.requests[0].partition(b"\r\n\r\n")

    assert b"transfer-encoding" not in head.lower()
    assert b"at the END" == body


@pytest.mark.parametrize("given", [[b"short"], [b"much ", b"longer than that"], []])
async def test_a_stream_of_another_length_fails(given: list[bytes], wire: Wire) -> None:
    """It is the caller's error; the connection, whose server waits for more, is closed."""
    transport = wire.make(ONE)
    async with serving(keep_alive) as server, client_on(transport) as client:
        with pytest.raises(wire.bad_length):
            await client.send(Upload(*given).to(server.url, length=10))
        after = await client.get(server.url)

        assert "ok" == after.text
        assert 2 == server.connections
        assert 0 == transport.in_flight


async def test_an_upload_that_fails_is_told_as_it_is(wire: Wire) -> None:
    """The error of a body that is made while it is sent is the caller's own, not httpx's."""
    transport = wire.make(ONE)
    async with serving(keep_alive) as server, client_on(transport) as client:
        with pytest.raises(ZeroDivisionError):
            await client.send(Upload(b"half", ZeroDivisionError()).to(server.url))
        after = await client.get(server.url)

        assert "ok" == after.text
        assert (0, 1) == (transport.in_flight, transport.idle)
