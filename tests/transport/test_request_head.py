"""Heads of requests, by h11's rules."""

from __future__ import annotations

import pytest

from wix_asgi._http import httpx
from wix_asgi.transport._request_head import RequestHead

URL = "http://upstream.example/a?b=c"


def head_of(*headers: tuple[bytes, bytes], method: str = "GET") -> RequestHead:
    """Return the head of a request with these headers, and no others."""
    request = httpx.Request(method, URL)
    request.headers = httpx.Headers([*headers])
    return RequestHead.of(request)


HOST = (b"Host", b"upstream.example")


def test_the_host_stands_first_and_names_stay_as_they_are() -> None:
    """The head is one request line, its headers in order, and an empty line."""
    head = head_of((b"x-Odd", b"\xe4 \x01"), HOST, (b"X", b""))

    assert (
        b"GET /a?b=c HTTP/1.1\r\nHost: upstream.example\r\nx-Odd: \xe4 \x01\r\nX: \r\n\r\n"
        == head.data
    )
    assert (0, True) == (head.length, head.keep_alive)


@pytest.mark.parametrize(
    ("header", "length", "keep_alive"),
    [
        ((b"Content-Length", b"12"), 12, True),
        ((b"Transfer-Encoding", b"Chunked"), None, True),
        ((b"Connection", b"Close"), 0, False),
        ((b"Connection", b"keep-alive"), 0, True),
    ],
)
def test_headers_tell_of_the_body_and_the_connection(
    header: tuple[bytes, bytes], length: int | None, *, keep_alive: bool
) -> None:
    """The length is None for chunks; `Connection: close` gives the connection up."""
    head = head_of(HOST, header)

    assert (length, keep_alive) == (head.length, head.keep_alive)


def test_chunks_have_no_length() -> None:
    """One of the two is sent: a server that goes by the other would see two requests."""
    head = head_of(HOST, (b"Content-Length", b"1"), (b"Transfer-Encoding", b"chunked"))

    assert head.length is None
    assert b"Content-Length" not in head.data


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([], "Missing mandatory Host: header"),
        ([HOST, HOST], "Found multiple Host: headers"),
        ([HOST, (b"X Y", b"z")], "Illegal header name"),
        ([HOST, (b"X", b"a\r\nY: b")], "Illegal header value of X"),
        ([HOST, (b"X", b"a\0")], "Illegal header value of X"),
        ([HOST, (b"X", b" a")], "Illegal header value of X"),
        ([HOST, (b"Content-Length", b"+1")], "bad Content-Length"),
        ([HOST, (b"Transfer-Encoding", b"gzip")], "Only Transfer-Encoding: chunked is supported"),
        (
            [HOST, (b"Content-Length", b"1"), (b"Content-Length", b"1")],
            "Found multiple Content-Length: headers",
        ),
    ],
)
def test_what_would_not_be_one_request_is_not_sent(
    headers: list[tuple[bytes, bytes]], message: str
) -> None:
    """The error names the header, and shows no value."""
    with pytest.raises(httpx.LocalProtocolError) as caught:
        head_of(*headers)

    assert message == str(caught.value)


def test_a_method_is_a_token() -> None:
    """A space would make another request line."""
    with pytest.raises(httpx.LocalProtocolError, match="Illegal method characters"):
        head_of(HOST, method="GET /x")


def test_a_target_is_visible() -> None:
    """An httpx URL is always encoded; this holds for whatever else stands in for one."""

    class OddURL:
        raw_path = b"/a b"

    request = httpx.Request("GET", URL)
    request.url = OddURL()  # type: ignore[assignment] # it has what is read
    with pytest.raises(httpx.LocalProtocolError, match="Illegal target characters"):
        RequestHead.of(request)
