"""Text of others in the log stays in one line, is bounded, and quotes no bytes."""

from __future__ import annotations

import ssl

import pytest

from wix_asgi._http import httpx
from wix_asgi.reporting.one_line import describe_failure, one_line


def caused(error: Exception, *causes: BaseException) -> Exception:
    """Return `error` with a chain of causes beneath it."""
    link: BaseException = error
    for cause in causes:
        link.__cause__ = cause
        link = cause
    return error


def test_no_character_begins_a_line() -> None:
    """Each character that a terminal or a log reader may act on becomes a space (R36)."""
    assert "a  b [2J c d" == one_line("a\r\nb\x1b[2J\u2028c\x85d")


def test_length_is_bounded() -> None:
    """At most 500 characters are kept, however long the text is."""
    assert "x" * 500 == one_line("x" * 1_000_000)


REFUSED = ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)")

FAILURES = [
    (
        caused(
            httpx.ConnectError("All connection attempts failed"),
            OSError("All connection attempts failed"),
            REFUSED,
        ),
        "ConnectError: [Errno 111] Connect call failed ('127.0.0.1', 1)",
    ),
    (
        caused(httpx.ConnectError("all failed"), ExceptionGroup("all failed", [REFUSED])),
        "ConnectError: [Errno 111] Connect call failed ('127.0.0.1', 1)",
    ),
    (caused(httpx.ReadTimeout(""), TimeoutError()), "ReadTimeout"),
    (
        caused(httpx.ConnectError(""), OSError(), ssl.SSLError(1, "certificate verify failed")),
        "ConnectError: certificate verify failed",
    ),
    (
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
        "RemoteProtocolError: Server disconnected without sending a response.",
    ),
    (
        httpx.LocalProtocolError("Illegal header value b'canary-token'"),
        "LocalProtocolError: Illegal header value",
    ),
    (
        httpx.RemoteProtocolError("illegal status line: bytearray(b'canary-token')"),
        "RemoteProtocolError: illegal status line",
    ),
    (httpx.ReadError("one\ntwo"), "ReadError: one two"),
]


@pytest.mark.parametrize(("error", "expected"), FAILURES, ids=lambda value: str(value)[:40])
def test_a_failure_is_described_by_the_systems_error(error: Exception, expected: str) -> None:
    """The class is httpx's, the text the system's where it has one, without bytes (R35)."""
    assert expected == describe_failure(error)
