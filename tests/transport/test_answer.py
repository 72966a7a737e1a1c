"""Answers as the parser reads them; the wire has tests of its own."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from wix_asgi._http import httpx
from wix_asgi.transport._answer import Answer

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
OK_CHUNKS = b"2\r\nok\r\n0\r\n\r\n"
LIMIT = 100 * 1024


def fed(*pieces: bytes, is_head_only: bool = False) -> Answer:
    """Return an answer that was fed these pieces."""
    answer = Answer(is_head_only=is_head_only)
    for piece in pieces:
        answer.feed(piece)
    return answer


def in_bytes(raw: bytes) -> list[bytes]:
    """Return single bytes."""
    return [raw[at : at + 1] for at in range(len(raw))]


@pytest.mark.parametrize("cut", [lambda raw: [raw], in_bytes])
def test_an_answer_is_read_in_any_pieces(cut: Callable[[bytes], list[bytes]]) -> None:
    """Status, reason, version, headers and body; white space around values is left out."""
    answer = fed(*cut(b"HTTP/1.1 201 All done\r\nX:  y \t\r\nContent-Length: 2\r\n\r\nok"))

    assert (201, b"All done", b"HTTP/1.1") == (answer.status, answer.reason, answer.http_version)
    assert [(b"X", b"y"), (b"Content-Length", b"2")] == answer.headers
    assert b"ok" == answer.take_body()
    assert answer.leaves_reusable


@pytest.mark.parametrize("cut", [lambda raw: [raw], in_bytes])
def test_chunks_are_joined_and_trailers_left_out(cut: Callable[[bytes], list[bytes]]) -> None:
    """As h11 does it; white space behind a size is passed over."""
    answer = fed(*cut(CHUNKED + b"2 \r\nok\r\n1;a=b\r\n!\r\n0\r\nX: y\r\n\r\n"))

    assert b"ok!" == answer.take_body()
    assert [(b"Transfer-Encoding", b"chunked")] == answer.headers
    assert answer.leaves_reusable


@pytest.mark.parametrize("cut", [lambda raw: [raw], in_bytes])
def test_informational_answers_are_skipped(cut: Callable[[bytes], list[bytes]]) -> None:
    """The first answer that is not one of them is the answer."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Length: 9\r\n\r\n"
    answer = fed(*cut(b"HTTP/1.1 100 Continue\r\n\r\n" + hints + HEAD + b"ok"))

    assert (200, [(b"Content-Length", b"2")]) == (answer.status, answer.headers)
    assert b"ok" == answer.take_body()


@pytest.mark.parametrize(
    ("raw", "headers"),
    [
        (b"HTTP/1.1 200 OK\nX: y\nContent-Length: 0\n\n", [(b"X", b"y")]),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 0\r\n\r\n", [(b"X", b"y z")]),
        (b"HTTP/1.1 200 OK\r\nX: \x01\x7f\r\nContent-Length: 0\r\n\r\n", [(b"X", b"\x01\x7f")]),
    ],
)
def test_odd_heads_are_read_as_h11_reads_them(
    raw: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    """Lines without a carriage return, folded ones, and control characters."""
    answer = fed(raw)

    assert [*headers, (b"Content-Length", b"0")] == answer.headers
    assert answer.leaves_reusable


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"rubbish\r\n\r\n", id="not HTTP"),
        pytest.param(b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", id="empty lines first"),
        pytest.param(b"RTSP/1.0 200 OK\r\n\r\n", id="another protocol"),
        pytest.param(b"HTTP/2.0 200 OK\r\n\r\n", id="another version"),
        pytest.param(b"HTTP/1.1 20 OK\r\n\r\n", id="bad status"),
        pytest.param(b"HTTP/1.1 200 O\0K\r\n\r\n", id="NUL in the reason"),
        pytest.param(b"HTTP/1.1 200 OK\r\n X: y\r\n\r\n", id="folded first line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n", id="space before the colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\x0bb\r\n\r\n", id="vertical tab in a value"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", id="NUL in a value"),
        pytest.param(b"HTTP/1.1 101 Switching\r\n\r\n", id="101"),
        pytest.param(
            b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", id="upgrade"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", id="negative length"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: %021d\r\n\r\n" % 2, id="long length"),
        pytest.param(HEAD[:-2] + b"Content-Length: 3\r\n\r\n", id="two lengths"),
        pytest.param(HEAD[:-2] + b"Transfer-Encoding: chunked\r\n\r\n", id="length and chunks"),
        pytest.param(CHUNKED[:-2] + b"Transfer-Encoding: chunked\r\n\r\n", id="chunked twice"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", id="another coding"),
        pytest.param(CHUNKED + b"x\r\n", id="bad size"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * LIMIT, id="huge head"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * LIMIT + b"\r\n\r\n", id="huge, whole head"),
        pytest.param(CHUNKED + b"0\r\nX: " + b"x" * LIMIT, id="huge trailers"),
    ],
)
def test_what_is_wrong_with_an_answer_is_its_error(raw: bytes) -> None:
    """Two readings of an answer are none (R39); no more of it is taken."""
    answer = fed(raw)

    assert isinstance(answer.error, httpx.RemoteProtocolError)
    assert answer.has_ended
    assert not answer.leaves_reusable


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(HEAD + b"okmore", id="a longer body"),
        pytest.param(HEAD + b"ok" + HEAD + b"no", id="another answer"),
        pytest.param(HEAD + b"ok\r\n", id="a line end"),
        pytest.param(b"HTTP/1.1 204 No\r\n\r\nok", id="a body of 204"),
        pytest.param(CHUNKED + b"2\r\nok\r\n0\r\n\r\n\r\n", id="a line end behind chunks"),
        pytest.param(CHUNKED + b"2\r\nok\r\n0\r\n\r\nrubbish", id="rubbish behind chunks"),
        pytest.param(
            CHUNKED + b"2\r\nok\r\n0\r\n\r\n" + HEAD + b"no", id="an answer behind chunks"
        ),
    ],
)
@pytest.mark.parametrize("is_cut", [False, True])
def test_bytes_behind_an_answer_are_not_of_it(raw: bytes, *, is_cut: bool) -> None:
    """They cost the connection, since they may be meant as the answer to another request."""
    end = raw.index(b"ok") + 2
    answer = fed(raw[:end], raw[end:]) if is_cut else fed(raw)

    assert answer.is_complete
    assert answer.take_body() in {b"ok", b""}
    assert not answer.leaves_reusable


def test_what_has_come_is_read_before_the_error() -> None:
    """A piece of the body that came with rubbish behind it."""
    answer = fed(CHUNKED + b"2\r\nok\r\nx\r\n")

    assert (200, b"ok") == (answer.status, answer.take_body())
    assert answer.error is not None


@pytest.mark.parametrize(
    ("connection", "version", "is_kept"),
    [
        (b"keep-alive", b"1.1", True),
        (b"closed", b"1.1", True),
        (b"X, Close", b"1.1", False),
        (b"x", b"1.0", False),
        (b"Keep-Alive", b"1.0", True),
    ],
)
def test_the_server_says_whether_it_keeps_the_connection(
    connection: bytes, version: bytes, *, is_kept: bool
) -> None:
    """By the options of `Connection` (RFC 9112, 9.3)."""
    start = b"HTTP/%b 200 OK\r\nConnection: %b\r\n" % (version, connection)

    assert is_kept == fed(start + b"Content-Length: 0\r\n\r\n").leaves_reusable


@pytest.mark.parametrize("raw", [HEAD, CHUNKED, b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_to_head_ends_with_its_head(raw: bytes) -> None:
    """Whatever it says about the body that it would have."""
    answer = fed(raw, is_head_only=True)

    assert answer.leaves_reusable
    assert b"" == answer.take_body()


class TestEndOfConnection:
    def test_a_body_without_a_length_ends_with_it(self) -> None:
        """Its connection is not used again."""
        answer = fed(b"HTTP/1.1 200 OK\r\n\r\nok")
        is_early = answer.is_complete
        answer.feed_eof()

        assert (False, True) == (is_early, answer.is_complete)
        assert not answer.leaves_reusable

    @pytest.mark.parametrize(
        ("raw", "message"),
        [
            (b"", "Server disconnected without sending a response."),
            (HEAD[:9], "Server disconnected without sending a response."),
            (HEAD + b"o", "peer closed connection without sending complete message body"),
            (CHUNKED, "peer closed connection without sending complete message body"),
        ],
    )
    def test_another_answer_is_cut_off(self, raw: bytes, message: str) -> None:
        """The error says what is missing; the next one does not replace it."""
        answer = fed(raw)
        answer.feed_eof()
        answer.fail(httpx.ReadError("later"))

        assert isinstance(answer.error, httpx.RemoteProtocolError)
        assert message == str(answer.error)

    def test_a_complete_answer_stays_complete(self) -> None:
        """The connection is lost behind it."""
        answer = fed(HEAD + b"ok")
        answer.feed_eof()

        assert (True, None) == (answer.is_complete, answer.error)


def test_many_small_chunks_are_no_trailers() -> None:
    """Chunk lines are counted between two pieces of the body alone."""
    answer = fed(CHUNKED, *[b"1;" + b"x" * 50 + b"\r\n", b"x\r\n"] * math.ceil(LIMIT / 50))

    assert answer.error is None
    assert LIMIT / 50 <= answer.size
