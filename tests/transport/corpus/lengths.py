"""Bodies of a length, and bodies that end with the connection."""

from __future__ import annotations

import gzip
from typing import Final

from tests.transport.corpus.cases import REFUSED, Case, Read, answer

__all__ = ["LENGTHS"]

ALL_BYTES: Final = bytes(range(256))
LARGE: Final = ALL_BYTES * 1024
TWO_LENGTHS: Final = "RFC 9112, 6.3: a recipient may take equal lengths for one, or refuse them"
PACKED: Final = gzip.compress(b"packed", mtime=0)


def _length(value: bytes, body: bytes = b"ok") -> bytes:
    return answer(b"Content-Length: " + value, body=body)


LENGTHS: Final = [
    Case("a length", _length(b"2"), Read(headers=((b"Content-Length", b"2"),), body=b"ok")),
    Case("a length of 0", _length(b"0", b""), Read()),
    Case("leading zeros", _length(b"0002"), Read(body=b"ok")),
    Case("spaces around a length", _length(b"  2  "), Read(body=b"ok")),
    Case("a length in small letters", answer(b"content-length: 2", body=b"ok"), Read(body=b"ok")),
    Case("all bytes", _length(b"256", ALL_BYTES), Read(body=ALL_BYTES)),
    Case("a large body", _length(b"%d" % len(LARGE), LARGE), Read(body=LARGE)),
    Case("a body of line ends", _length(b"8", b"\r\n\r\n\r\n\r\n"), Read(body=b"\r\n\r\n\r\n\r\n")),
    Case(
        "a body that looks like an answer",
        _length(b"19", b"HTTP/1.1 200 OK\r\n\r\n"),
        Read(body=b"HTTP/1.1 200 OK\r\n\r\n"),
    ),
    Case(
        "a gzip body",
        answer(b"Content-Encoding: gzip", b"Content-Length: %d" % len(PACKED), body=PACKED),
        Read(body=PACKED),
    ),
    Case(
        "equal lengths in a line",
        _length(b"2, 2"),
        Read(body=b"ok"),
        by_llhttp=REFUSED,
        why=TWO_LENGTHS,
    ),
    Case(
        "equal lengths in two lines",
        answer(b"Content-Length: 2", b"Content-Length: 2", body=b"ok"),
        Read(body=b"ok"),
        by_llhttp=REFUSED,
        why=TWO_LENGTHS,
    ),
    Case("lengths in a line", _length(b"2, 3"), REFUSED),
    Case(
        "lengths in two lines",
        answer(b"Content-Length: 2", b"Content-Length: 3", body=b"ok"),
        REFUSED,
    ),
    Case(
        "lengths of other digits",
        answer(b"Content-Length: 2", b"Content-Length: 02", body=b"ok"),
        REFUSED,
    ),
    Case("a negative length", _length(b"-2"), REFUSED),
    Case("a length with a plus", _length(b"+2"), REFUSED),
    Case("a length in hex", _length(b"0x2"), REFUSED),
    Case("a length with a fraction", _length(b"2.0"), REFUSED),
    Case("a length with an underscore", _length(b"1_0"), REFUSED),
    Case("a length with an exponent", _length(b"2e0"), REFUSED),
    Case("a length with a unit", _length(b"2 bytes"), REFUSED),
    Case("two numbers as a length", _length(b"2 2"), REFUSED),
    Case("an empty length", _length(b""), REFUSED),
    Case("a length in words", _length(b"two"), REFUSED),
    Case("a length in other digits", _length("٢".encode()), REFUSED),
    Case("a length in quotes", _length(b'"2"'), REFUSED),
    Case("a length of 21 digits", _length(b"9" * 21), REFUSED),
    Case("a length of 300 digits", _length(b"9" * 300), REFUSED),
    Case("zeros without end before a length", _length(b"0" * 30 + b"2"), REFUSED),
    Case("a huge length that is cut", _length(b"9" * 15), REFUSED, hangs_up=True),
    Case("a short body", _length(b"3"), REFUSED, hangs_up=True),
    Case("no body", _length(b"3", b""), REFUSED, hangs_up=True),
    Case(
        "a body that ends with the connection",
        answer(body=b"all of it"),
        Read(body=b"all of it", kept=False),
        hangs_up=True,
    ),
    Case("an empty body that ends with the connection", answer(), Read(kept=False), hangs_up=True),
    Case(
        "a large body that ends with the connection",
        answer(body=LARGE),
        Read(body=LARGE, kept=False),
        hangs_up=True,
    ),
    Case(
        "a body of HTTP/1.0",
        answer(body=b"ok", start=b"HTTP/1.0 200 OK"),
        Read(version=b"HTTP/1.0", body=b"ok", kept=False),
        hangs_up=True,
    ),
    Case(
        "a length of HTTP/1.0",
        answer(b"Content-Length: 2", body=b"ok", start=b"HTTP/1.0 200 OK"),
        Read(version=b"HTTP/1.0", body=b"ok", kept=False),
    ),
    Case(
        "a short body of HTTP/1.0",
        answer(b"Content-Length: 3", body=b"ok", start=b"HTTP/1.0 200 OK"),
        REFUSED,
        hangs_up=True,
    ),
]
