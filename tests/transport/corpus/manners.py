"""Answers before the answer, answers without a body, and what becomes of the connection."""

from __future__ import annotations

from typing import Final

from tests.transport.corpus.cases import REFUSED, Case, Read, answer

__all__ = ["MANNERS", "SECOND_ANSWERS"]

OK: Final = answer(b"Content-Length: 2", body=b"ok")
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
HINTS: Final = b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n"
LENGTH: Final = ((b"Content-Length", b"2"),)
NO_CONTENT: Final = b"HTTP/1.1 204 No Content"
NOT_MODIFIED: Final = b"HTTP/1.1 304 Not Modified"
OLD: Final = b"HTTP/1.0 200 OK"


def _connection(value: bytes, *, kept: bool) -> Case:
    raw = answer(b"Connection: " + value, b"Content-Length: 2", body=b"ok")
    return Case(f"Connection: {value.decode()}", raw, Read(body=b"ok", kept=kept))


def _no_content(name: str, *lines: bytes, kept: bool = True) -> Case:
    return Case(
        name, answer(*lines, start=NO_CONTENT), Read(status=204, reason=b"No Content", kept=kept)
    )


def _not_modified(name: str, *lines: bytes) -> Case:
    return Case(name, answer(*lines, start=NOT_MODIFIED), Read(status=304, reason=b"Not Modified"))


def _rubbish(name: str, raw: bytes, body: bytes = b"ok") -> Case:
    return Case(name, raw, Read(body=body, kept=False))


MANNERS: Final = [
    Case("100 first", CONTINUE + OK, Read(headers=LENGTH, body=b"ok")),
    Case("102 first", b"HTTP/1.1 102 Processing\r\n\r\n" + OK, Read(headers=LENGTH, body=b"ok")),
    Case("103 first", HINTS + OK, Read(headers=LENGTH, body=b"ok")),
    Case("199 first", b"HTTP/1.1 199 \r\n\r\n" + OK, Read(headers=LENGTH, body=b"ok")),
    Case("three first", CONTINUE + HINTS + CONTINUE + OK, Read(headers=LENGTH, body=b"ok")),
    Case("fifty first", HINTS * 50 + OK, Read(headers=LENGTH, body=b"ok")),
    Case(
        "a length in a hint",
        answer(b"Content-Length: 5", start=b"HTTP/1.1 103 Hints") + OK,
        Read(headers=LENGTH, body=b"ok"),
    ),
    Case(
        "chunks in a hint",
        answer(b"Transfer-Encoding: chunked", start=b"HTTP/1.1 103 H") + OK,
        Read(headers=LENGTH, body=b"ok"),
    ),
    Case(
        "a hint that closes",
        answer(b"Connection: close", start=b"HTTP/1.1 103 Hints") + OK,
        Read(headers=LENGTH, body=b"ok"),
    ),
    Case("a hint alone", HINTS, REFUSED, hangs_up=True),
    Case("100 alone", CONTINUE, REFUSED, hangs_up=True),
    Case(
        "a hint to HEAD", HINTS + answer(b"Content-Length: 2"), Read(headers=LENGTH), method="HEAD"
    ),
    Case(
        "101 that nobody has asked for",
        answer(b"Upgrade: x", b"Connection: upgrade", start=b"HTTP/1.1 101 Switching Protocols"),
        REFUSED,
    ),
    Case("HEAD", answer(b"Content-Length: 2"), Read(headers=LENGTH), method="HEAD"),
    Case("HEAD of nothing", answer(b"Content-Length: 0"), Read(), method="HEAD"),
    Case("HEAD in chunks", answer(b"Transfer-Encoding: chunked"), Read(), method="HEAD"),
    Case("HEAD without a length", answer(), Read(), method="HEAD"),
    Case(
        "HEAD of an error",
        answer(b"Content-Length: 9", start=b"HTTP/1.1 404 No"),
        Read(status=404, reason=b"No"),
        method="HEAD",
    ),
    Case(
        "HEAD that closes",
        answer(b"Content-Length: 2", b"Connection: close"),
        Read(kept=False),
        method="HEAD",
    ),
    Case("OPTIONS", OK, Read(body=b"ok"), method="OPTIONS"),
    Case("DELETE", OK, Read(body=b"ok"), method="DELETE"),
    Case("POST", OK, Read(body=b"ok"), method="POST"),
    Case("an unknown method", OK, Read(body=b"ok"), method="BREW"),
    _no_content("204"),
    _no_content("204 with a length of 0", b"Content-Length: 0"),
    _no_content("204 with a length", b"Content-Length: 5"),
    _no_content("204 in chunks", b"Transfer-Encoding: chunked"),
    _no_content("204 that closes", b"Connection: close", kept=False),
    _not_modified("304"),
    _not_modified("304 with a length", b"Content-Length: 5"),
    _not_modified("304 in chunks", b"Transfer-Encoding: chunked"),
    Case(
        "205",
        answer(b"Content-Length: 0", start=b"HTTP/1.1 205 Reset"),
        Read(status=205, reason=b"Reset"),
    ),
    _connection(b"keep-alive", kept=True),
    _connection(b"Keep-Alive", kept=True),
    _connection(b"close", kept=False),
    _connection(b"Close", kept=False),
    _connection(b"X, close", kept=False),
    _connection(b"close, X", kept=False),
    _connection(b"keep-alive, close", kept=False),
    _connection(b"X", kept=True),
    _connection(b"closed", kept=True),
    Case(
        "close in the second line",
        answer(b"Connection: X", b"Connection: close", b"Content-Length: 2", body=b"ok"),
        Read(body=b"ok", kept=False),
    ),
    Case(
        "Keep-Alive with a time",
        answer(b"Keep-Alive: timeout=5", b"Content-Length: 2", body=b"ok"),
        Read(body=b"ok"),
    ),
    Case(
        "Proxy-Connection",
        answer(b"Proxy-Connection: close", b"Content-Length: 2", body=b"ok"),
        Read(body=b"ok"),
    ),
    Case(
        "HTTP/1.0 that closes",
        answer(b"Connection: close", b"Content-Length: 2", body=b"ok", start=OLD),
        Read(version=b"HTTP/1.0", body=b"ok", kept=False),
    ),
    Case(
        "HTTP/1.0 that is kept",
        answer(b"Connection: keep-alive", b"Content-Length: 2", body=b"ok", start=OLD),
        Read(version=b"HTTP/1.0", body=b"ok"),
        by_h11=Read(version=b"HTTP/1.0", body=b"ok", kept=False),
        why="h11 keeps no connection of HTTP/1.0",
    ),
    _rubbish("a line behind the answer", OK + b"rubbish\r\n"),
    _rubbish("one byte behind the answer", OK + b"x"),
    _rubbish("a line end behind the answer", OK + b"\r\n"),
    _rubbish("half an answer behind the answer", OK + b"HTTP/1.1 200 OK\r\nContent-Le"),
    _rubbish("a longer body", answer(b"Content-Length: 2", body=b"ok+")),
    _rubbish("a body behind a length of 0", answer(b"Content-Length: 0", body=b"evil"), b""),
    Case(
        "a body to HEAD", answer(b"Content-Length: 2", body=b"ok"), Read(kept=False), method="HEAD"
    ),
    Case(
        "a body of 204",
        answer(b"Content-Length: 2", body=b"ok", start=NO_CONTENT),
        Read(status=204, reason=b"No Content", kept=False),
    ),
    Case(
        "a body of 304",
        answer(b"Content-Length: 2", body=b"ok", start=NOT_MODIFIED),
        Read(status=304, reason=b"Not Modified", kept=False),
    ),
]

SECOND_ANSWERS: Final = [
    _rubbish("an answer behind the answer", OK + answer(b"Content-Length: 4", body=b"evil")),
    _rubbish("a hint behind the answer", OK + HINTS),
    _rubbish(
        "an answer behind chunks",
        answer(b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n") + OK,
    ),
    _rubbish("a second answer without a body", OK + answer(start=NO_CONTENT)),
]
"""Answers with a whole other one behind them, which must not be taken for that of the next request.

httpcore looks for such bytes in the socket alone: what came in one piece with the answer is in h11
already, and is handed to the next request.
"""
