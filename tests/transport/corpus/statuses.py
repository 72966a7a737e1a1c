"""Status lines: versions, codes, reasons."""

from __future__ import annotations

from typing import Final

from tests.transport.corpus.cases import REFUSED, Case, Read, answer

__all__ = ["STATUSES"]

EMPTY: Final = b"Content-Length: 0"
OTHER_VERSIONS: Final = "no answer to a request of HTTP/1.1 is of such a version (RFC 9110, 6.2)"


def _line(start: bytes) -> bytes:
    return answer(EMPTY, start=start)


STATUSES: Final = [
    Case("200", _line(b"HTTP/1.1 200 OK"), Read()),
    Case("201", _line(b"HTTP/1.1 201 Created"), Read(status=201, reason=b"Created")),
    Case("202", _line(b"HTTP/1.1 202 Accepted"), Read(status=202, reason=b"Accepted")),
    Case("301", _line(b"HTTP/1.1 301 Moved"), Read(status=301, reason=b"Moved")),
    Case("400", _line(b"HTTP/1.1 400 Bad Request"), Read(status=400, reason=b"Bad Request")),
    Case("401", _line(b"HTTP/1.1 401 Unauthorized"), Read(status=401, reason=b"Unauthorized")),
    Case("404", _line(b"HTTP/1.1 404 Not Found"), Read(status=404, reason=b"Not Found")),
    Case("418", _line(b"HTTP/1.1 418 I'm a teapot"), Read(status=418, reason=b"I'm a teapot")),
    Case("429", _line(b"HTTP/1.1 429 Slow down"), Read(status=429, reason=b"Slow down")),
    Case("500", _line(b"HTTP/1.1 500 Oops"), Read(status=500, reason=b"Oops")),
    Case("503", _line(b"HTTP/1.1 503 Busy"), Read(status=503, reason=b"Busy")),
    Case("599", _line(b"HTTP/1.1 599 Unknown"), Read(status=599, reason=b"Unknown")),
    Case("999", _line(b"HTTP/1.1 999 Denied"), Read(status=999, reason=b"Denied")),
    Case("no reason", _line(b"HTTP/1.1 200 "), Read(reason=b"")),
    Case("no reason and no space", _line(b"HTTP/1.1 200"), Read(reason=b"")),
    Case("a reason of several words", _line(b"HTTP/1.1 200 A B  C"), Read(reason=b"A B  C")),
    Case("a tab in the reason", _line(b"HTTP/1.1 200 A\tB"), Read(reason=b"A\tB")),
    Case("a reason in Latin-1", _line(b"HTTP/1.1 200 \xdcber"), Read(reason=b"\xdcber")),
    Case("a reason in UTF-8", _line(b"HTTP/1.1 200 \xc3\x9c"), Read(reason=b"\xc3\x9c")),
    Case("a reason that looks like a header", _line(b"HTTP/1.1 200 A: b"), Read(reason=b"A: b")),
    Case("HTTP/1.0", _line(b"HTTP/1.0 200 OK"), Read(version=b"HTTP/1.0", kept=False)),
    Case("a NUL in the reason", _line(b"HTTP/1.1 200 A\0B"), REFUSED),
    Case("a bare CR in the reason", _line(b"HTTP/1.1 200 A\rB"), REFUSED),
    Case("two digits", _line(b"HTTP/1.1 20 OK"), REFUSED),
    Case("four digits", _line(b"HTTP/1.1 2000 OK"), REFUSED),
    Case("a status in words", _line(b"HTTP/1.1 OK 200"), REFUSED),
    Case("a negative status", _line(b"HTTP/1.1 -20 OK"), REFUSED),
    Case("a status with a letter", _line(b"HTTP/1.1 20x OK"), REFUSED),
    Case("no status", _line(b"HTTP/1.1"), REFUSED),
    Case("two spaces before the status", _line(b"HTTP/1.1  200 OK"), REFUSED),
    Case("a tab before the status", _line(b"HTTP/1.1\t200 OK"), REFUSED),
    Case("a space before the version", _line(b" HTTP/1.1 200 OK"), REFUSED),
    Case("no version", _line(b"HTTP 200 OK"), REFUSED),
    Case("half a version", _line(b"HTTP/1 200 OK"), REFUSED),
    Case("a version of letters", _line(b"HTTP/a.b 200 OK"), REFUSED),
    Case("a version of two digits", _line(b"HTTP/1.10 200 OK"), REFUSED),
    Case("small letters", _line(b"http/1.1 200 OK"), REFUSED),
    Case("another protocol", _line(b"ICY 200 OK"), REFUSED),
    Case("RTSP", _line(b"RTSP/1.0 200 OK"), REFUSED),
    Case("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", REFUSED),
    Case("a request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", REFUSED),
    Case("a line of TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", REFUSED),
    Case("a page without a head", b"<html></html>\r\n\r\n", REFUSED, hangs_up=True),
    Case("an SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n", REFUSED, hangs_up=True),
    Case("an empty line before the status", b"\r\n" + _line(b"HTTP/1.1 200 OK"), REFUSED),
    Case("nothing", b"", REFUSED, hangs_up=True),
    Case("one letter", b"H", REFUSED, hangs_up=True),
    Case("half a status line", b"HTTP/1.1 20", REFUSED, hangs_up=True),
    Case("a status line alone", b"HTTP/1.1 200 OK\r\n", REFUSED, hangs_up=True),
    Case(
        "HTTP/0.9",
        _line(b"HTTP/0.9 200 OK"),
        Read(version=b"HTTP/0.9", kept=False),
        by_llhttp=REFUSED,
        why=OTHER_VERSIONS,
    ),
    Case(
        "HTTP/1.2",
        _line(b"HTTP/1.2 200 OK"),
        Read(version=b"HTTP/1.2"),
        by_llhttp=REFUSED,
        why=OTHER_VERSIONS,
    ),
    Case(
        "HTTP/2.0",
        _line(b"HTTP/2.0 200 OK"),
        Read(version=b"HTTP/2.0"),
        by_llhttp=REFUSED,
        why=OTHER_VERSIONS,
    ),
    Case(
        "HTTP/9.9",
        _line(b"HTTP/9.9 200 OK"),
        Read(version=b"HTTP/9.9"),
        by_llhttp=REFUSED,
        why=OTHER_VERSIONS,
    ),
]
