"""Bodies in chunks, and answers whose length is open to debate."""

from __future__ import annotations

from typing import Final

from tests.transport.corpus.cases import REFUSED, Case, Read, answer

__all__ = ["CHUNKS"]

TE: Final = b"Transfer-Encoding: chunked"
OK: Final = b"2\r\nok\r\n0\r\n\r\n"
LARGE: Final = bytes(range(256)) * 256
TWO_LENGTHS: Final = (
    "RFC 9112, 6.3: such an answer ought to be an error, for somebody on the way may have gone by "
    "the length; h11 goes by the chunks"
)


def _chunks(body: bytes) -> bytes:
    return answer(TE, body=body)


CHUNKS: Final = [
    Case("a chunk", _chunks(OK), Read(headers=((b"Transfer-Encoding", b"chunked"),), body=b"ok")),
    Case("two chunks", _chunks(b"1\r\no\r\n1\r\nk\r\n0\r\n\r\n"), Read(body=b"ok")),
    Case("no chunks", _chunks(b"0\r\n\r\n"), Read()),
    Case("upper case", _chunks(b"A\r\n0123456789\r\n0\r\n\r\n"), Read(body=b"0123456789")),
    Case("lower case", _chunks(b"a\r\n0123456789\r\n0\r\n\r\n"), Read(body=b"0123456789")),
    Case("zeros before a size", _chunks(b"0002\r\nok\r\n000\r\n\r\n"), Read(body=b"ok")),
    Case("a large chunk", _chunks(b"10000\r\n" + LARGE + b"\r\n0\r\n\r\n"), Read(body=LARGE)),
    Case("many chunks", _chunks(b"1\r\nx\r\n" * 500 + b"0\r\n\r\n"), Read(body=b"x" * 500)),
    Case("a chunk of line ends", _chunks(b"4\r\n\r\n\r\n\r\n0\r\n\r\n"), Read(body=b"\r\n\r\n")),
    Case("chunked in upper case", answer(b"TRANSFER-ENCODING: chunked", body=OK), Read(body=b"ok")),
    Case(
        "the coding in capitals", answer(b"Transfer-Encoding: CHUNKED", body=OK), Read(body=b"ok")
    ),
    Case("an extension", _chunks(b"2;a=b\r\nok\r\n0;c\r\n\r\n"), Read(body=b"ok")),
    Case("an extension in quotes", _chunks(b'2;a="b"\r\nok\r\n0\r\n\r\n'), Read(body=b"ok")),
    Case(
        "an extension with a space",
        _chunks(b"2; a=b\r\nok\r\n0\r\n\r\n"),
        Read(body=b"ok"),
        by_llhttp=REFUSED,
        why="white space there is bad (RFC 9112, 7.1.1), and h11 takes it",
    ),
    Case("an extension with a semicolon", _chunks(b'2;a=";"\r\nok\r\n0\r\n\r\n'), Read(body=b"ok")),
    Case(
        "an extension without a name",
        _chunks(b"2;\r\nok\r\n0\r\n\r\n"),
        Read(body=b"ok"),
        by_llhttp=REFUSED,
        why="the name is asked for (RFC 9112, 7.1.1)",
    ),
    Case(
        "a trailer",
        _chunks(b"2\r\nok\r\n0\r\nX: y\r\n\r\n"),
        Read(headers=((b"Transfer-Encoding", b"chunked"),), body=b"ok"),
    ),
    Case(
        "two trailers",
        _chunks(b"2\r\nok\r\n0\r\nX: y\r\nZ: \r\n\r\n"),
        Read(headers=((b"Transfer-Encoding", b"chunked"),), body=b"ok"),
    ),
    Case(
        "a length in a trailer",
        _chunks(b"2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n"),
        Read(headers=((b"Transfer-Encoding", b"chunked"),), body=b"ok"),
        by_llhttp=REFUSED,
        why="RFC 9110, 6.5.1: no framing in trailers",
    ),
    Case("a trailer of a bad name", _chunks(b"2\r\nok\r\n0\r\nX Y: z\r\n\r\n"), REFUSED),
    Case("a trailer without a colon", _chunks(b"2\r\nok\r\n0\r\nrubbish\r\n\r\n"), REFUSED),
    Case("a trailer without end", _chunks(b"0\r\nX: " + b"x" * 110_000), REFUSED),
    Case("spaces behind a size", _chunks(b"2  \r\nok\r\n0\r\n\r\n"), Read(body=b"ok")),
    Case("a space before a size", _chunks(b" 2\r\nok\r\n0\r\n\r\n"), REFUSED),
    Case("no size", _chunks(b"\r\nok\r\n0\r\n\r\n"), REFUSED),
    Case("a size with a prefix", _chunks(b"0x2\r\nok\r\n0\r\n\r\n"), REFUSED),
    Case("a negative size", _chunks(b"-2\r\nok\r\n0\r\n\r\n"), REFUSED),
    Case("a size with a plus", _chunks(b"+2\r\nok\r\n0\r\n\r\n"), REFUSED),
    Case("a size in words", _chunks(b"two\r\nok\r\n0\r\n\r\n"), REFUSED),
    Case("a size with an underscore", _chunks(b"1_0\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n"), REFUSED),
    Case("a size of 21 digits", _chunks(b"f" * 21 + b"\r\nok"), REFUSED),
    Case("a size without end", _chunks(b"0" * 110_000), REFUSED),
    Case("an extension without end", _chunks(b"2;" + b"x" * 110_000), REFUSED),
    Case("a chunk that is longer", _chunks(b"2\r\nlong\r\n0\r\n\r\n"), REFUSED),
    Case("a chunk without a line end", _chunks(b"2\r\nok0\r\n\r\n"), REFUSED),
    Case("a bare LF behind a size", _chunks(b"2\nok\r\n0\r\n\r\n"), REFUSED),
    Case("a bare LF behind a chunk", _chunks(b"2\r\nok\n0\r\n\r\n"), REFUSED),
    Case("a bare CR behind a size", _chunks(b"2\rok\r\n0\r\n\r\n"), REFUSED),
    Case("a bare LF in an extension", _chunks(b"2;a\nok\r\n0\r\n\r\n"), REFUSED),
    Case(
        "a bare LF behind the last chunk",
        _chunks(b"2\r\nok\r\n0\r\n\n"),
        REFUSED,
        by_h11=Read(body=b"ok"),
        why="h11 lets any header line end in a bare LF",
    ),
    Case("no last chunk", _chunks(b"2\r\nok\r\n"), REFUSED, hangs_up=True),
    Case("no end behind the last chunk", _chunks(b"2\r\nok\r\n0\r\n"), REFUSED, hangs_up=True),
    Case("half a chunk", _chunks(b"5\r\nok"), REFUSED, hangs_up=True),
    Case("half a size", _chunks(b"5"), REFUSED, hangs_up=True),
    Case("no chunk", _chunks(b""), REFUSED, hangs_up=True),
    Case("half a trailer", _chunks(b"2\r\nok\r\n0\r\nX: "), REFUSED, hangs_up=True),
    Case(
        "chunks and the server's close",
        answer(TE, b"Connection: close", body=OK),
        Read(body=b"ok", kept=False),
    ),
    Case(
        "a length and chunks",
        answer(b"Content-Length: 2", TE, body=OK),
        REFUSED,
        by_h11=Read(body=b"ok"),
        why=TWO_LENGTHS,
    ),
    Case(
        "chunks and a length",
        answer(TE, b"Content-Length: 2", body=OK),
        REFUSED,
        by_h11=Read(body=b"ok"),
        why=TWO_LENGTHS,
    ),
    Case(
        "chunks and a length of 0",
        answer(TE, b"Content-Length: 0", body=OK),
        REFUSED,
        by_h11=Read(body=b"ok"),
        why=TWO_LENGTHS,
    ),
    Case("chunked in two lines", answer(TE, TE, body=OK), REFUSED),
    Case("chunked twice", answer(b"Transfer-Encoding: chunked, chunked", body=OK), REFUSED),
    Case("gzip and chunked", answer(b"Transfer-Encoding: gzip, chunked", body=OK), REFUSED),
    Case("chunked and gzip", answer(b"Transfer-Encoding: chunked, gzip", body=OK), REFUSED),
    Case("gzip alone", answer(b"Transfer-Encoding: gzip", body=OK), REFUSED, hangs_up=True),
    Case("identity", answer(b"Transfer-Encoding: identity", body=b"ok"), REFUSED, hangs_up=True),
    Case("an unknown coding", answer(b"Transfer-Encoding: x", body=b"ok"), REFUSED, hangs_up=True),
    Case("almost chunked", answer(b"Transfer-Encoding: xchunked", body=OK), REFUSED, hangs_up=True),
    Case(
        "chunked in quotes",
        answer(b'Transfer-Encoding: "chunked"', body=OK),
        REFUSED,
        hangs_up=True,
    ),
    Case(
        "chunked with a parameter",
        answer(b"Transfer-Encoding: chunked;q=1", body=OK),
        REFUSED,
        hangs_up=True,
    ),
    Case("an empty coding", answer(b"Transfer-Encoding:", body=b"ok"), REFUSED, hangs_up=True),
    Case(
        "chunks with a space before the colon",
        answer(b"Transfer-Encoding : chunked", body=OK),
        REFUSED,
    ),
    Case("folded chunks", answer(b"Transfer-Encoding:", b" chunked", body=OK), Read(body=b"ok")),
    Case(
        "chunks of HTTP/1.0",
        answer(TE, body=OK, start=b"HTTP/1.0 200 OK"),
        Read(version=b"HTTP/1.0", body=b"ok", kept=False),
    ),
]
