"""Header lines: names, values, folds, sizes."""

from __future__ import annotations

from typing import Final

from tests.transport.corpus.cases import REFUSED, Case, Headers, Read, answer

__all__ = ["HEADS"]

EMPTY: Final = (b"Content-Length", b"0")
MANY: Final[Headers] = tuple((b"X-%d" % number, b"v%d" % number) for number in range(300))
SAME: Final[Headers] = tuple((b"X", b"%d" % number) for number in range(50))
LARGE: Final = b"x" * 60_000
TOO_LARGE: Final = b"x" * 110_000
"""httpcore's limit of a head is 100 KiB (`AsyncHTTP11Connection.MAX_INCOMPLETE_EVENT_SIZE`)."""


def _written(headers: Headers) -> bytes:
    return answer(*(b"%b: %b" % pair for pair in headers))


def _read(name: str, line: bytes, *pairs: tuple[bytes, bytes]) -> Case:
    return Case(name, answer(line, b"Content-Length: 0"), Read(headers=(*pairs, EMPTY)))


def _refused(name: str, line: bytes) -> Case:
    return Case(name, answer(line, b"Content-Length: 0"), REFUSED)


HEADS: Final = [
    _read("a header", b"X: y", (b"X", b"y")),
    _read("no space behind the colon", b"X:y", (b"X", b"y")),
    _read("spaces around a value", b"X:   y  ", (b"X", b"y")),
    _read("tabs around a value", b"X:\ty\t", (b"X", b"y")),
    _read("spaces within a value", b"X: a  b", (b"X", b"a  b")),
    _read("a tab within a value", b"X: a\tb", (b"X", b"a\tb")),
    _read("an empty value", b"X:", (b"X", b"")),
    _read("a value of spaces", b"X:   ", (b"X", b"")),
    _read("a colon in a value", b"X: a:b: c", (b"X", b"a:b: c")),
    _read("a comma in a value", b"X: a, b", (b"X", b"a, b")),
    _read("quotes in a value", b'X: "a\\"b"', (b"X", b'"a\\"b"')),
    _read("the case of a name", b"x-MiXeD: y", (b"x-MiXeD", b"y")),
    _read("all letters of a name", b"!#$%&'*+-.^_`|~09aZ: y", (b"!#$%&'*+-.^_`|~09aZ", b"y")),
    _read("a value in Latin-1", b"X: \xe4\xff", (b"X", b"\xe4\xff")),
    _read("a value in UTF-8", b"X: \xc3\xa4", (b"X", b"\xc3\xa4")),
    _read("two headers of a name", b"X: 1\r\nX: 2", (b"X", b"1"), (b"X", b"2")),
    _read("names of two cases", b"X: 1\r\nx: 2", (b"X", b"1"), (b"x", b"2")),
    _read(
        "cookies",
        b"Set-Cookie: a=1\r\nSet-Cookie: b=2",
        (b"Set-Cookie", b"a=1"),
        (b"Set-Cookie", b"b=2"),
    ),
    _read("a fold", b"X: a\r\n b", (b"X", b"a b")),
    _read("a fold by a tab", b"X: a\r\n\tb", (b"X", b"a b")),
    _read("a fold of many spaces", b"X: a\r\n     b", (b"X", b"a b")),
    _read("two folds", b"X: a\r\n b\r\n c", (b"X", b"a b c")),
    _read("a fold behind nothing", b"X:\r\n b", (b"X", b"b")),
    _read("a fold that looks like a header", b"X: a\r\n Y: b", (b"X", b"a Y: b")),
    Case("a fold of the first line", answer(b" X: y", b"Content-Length: 0"), REFUSED),
    Case("a folded length", answer(b"Content-Length:", b" 2", body=b"ok"), Read(body=b"ok")),
    _refused("a space before the colon", b"X : y"),
    _refused("a tab before the colon", b"X\t: y"),
    _refused("a space in a name", b"X Y: z"),
    _refused("no name", b": y"),
    _refused("no colon", b"X"),
    _refused("a NUL in a name", b"X\0Y: z"),
    _refused("a NUL in a value", b"X: a\0b"),
    _refused("a bare CR in a value", b"X: a\rb"),
    _refused("a bare CR before a header", b"X: a\rContent-Length: 5"),
    _refused("a name in UTF-8", b"X\xc3\xa4: y"),
    _refused("a name in parentheses", b"(X): y"),
    _refused("an at sign in a name", b"X@Y: z"),
    _refused("quotes in a name", b'"X": y'),
    _refused("a slash in a name", b"X/Y: z"),
    _refused("a vertical tab in a value", b"X: a\x0bb"),
    _refused("a form feed in a value", b"X: a\x0cb"),
    _read("a bell in a value", b"X: a\x07b", (b"X", b"a\x07b")),
    _read("a delete in a value", b"X: a\x7fb", (b"X", b"a\x7fb")),
    _read("an escape in a value", b"X: \x1b[0m", (b"X", b"\x1b[0m")),
    Case(
        "bare LF behind lines",
        b"HTTP/1.1 200 OK\nX: y\nContent-Length: 0\n\n",
        Read(headers=((b"X", b"y"), EMPTY)),
    ),
    Case("a bare LF behind the status", b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", Read()),
    Case(
        "a bare LF behind a header",
        b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 0\r\n\r\n",
        Read(headers=((b"X", b"y"), EMPTY)),
    ),
    Case("a bare LF behind the head", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n", Read()),
    Case("300 headers", _written((*MANY, EMPTY)), Read(headers=(*MANY, EMPTY))),
    Case("50 headers of a name", _written((*SAME, EMPTY)), Read(headers=(*SAME, EMPTY))),
    Case("a large value", _written(((b"X", LARGE), EMPTY)), Read(headers=((b"X", LARGE), EMPTY))),
    Case("a large name", _written(((LARGE, b"y"), EMPTY)), Read(headers=((LARGE, b"y"), EMPTY))),
    Case("a value without end", b"HTTP/1.1 200 OK\r\nX: " + TOO_LARGE, REFUSED),
    Case("a name without end", b"HTTP/1.1 200 OK\r\n" + TOO_LARGE, REFUSED),
    Case("a reason without end", b"HTTP/1.1 200 " + TOO_LARGE, REFUSED),
    Case("headers without end", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, REFUSED),
    Case("half a name", b"HTTP/1.1 200 OK\r\nContent-Le", REFUSED, hangs_up=True),
    Case("half a value", b"HTTP/1.1 200 OK\r\nContent-Length: 1", REFUSED, hangs_up=True),
    Case("no end of the head", b"HTTP/1.1 200 OK\r\nX: y\r\n", REFUSED, hangs_up=True),
]
