from __future__ import annotations

import gzip
import io
import os
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wix_asgi._http import httpx
from wix_asgi.transport.bodies import can_be_sent_again, split_body


def headers(*values: str) -> httpx.Headers:
    """Return headers with these values of Content-Encoding."""
    return httpx.Headers([("Content-Encoding", value) for value in values])


@pytest.mark.parametrize(
    "given", [headers(), headers(""), headers("identity"), headers("GZIP"), headers("deflate")]
)
def test_a_body_is_split_into_small_chunks(given: httpx.Headers) -> None:
    """The chunks have at most a kilobyte each, and are the body when joined."""
    body = bytes(range(256)) * 10
    chunks = list(split_body(body, given))

    assert [1024, 1024, 512] == [len(chunk) for chunk in chunks]
    assert body == b"".join(chunks)


def test_an_empty_body_has_no_chunks() -> None:
    """Nothing is split into nothing."""
    assert [] == list(split_body(b"", headers("gzip")))


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_chunk_unpacks_to_about_a_megabyte(coding: str, pack: Callable[[bytes], bytes]) -> None:
    """The best-packed body there is gives little more than a megabyte for each chunk (R39)."""
    packed = pack(bytes(20_000_000))
    given = headers(coding)
    body = split_body(packed, given)
    unpacked = httpx.Response(200, headers=given, content=body).iter_bytes()

    assert max(len(chunk) for chunk in unpacked) < 1_100_000


@pytest.mark.parametrize(
    "given",
    [headers("br"), headers("zstd"), headers("gzip, gzip"), headers("gzip", "Deflate")],
)
def test_a_body_that_may_unpack_to_anything_is_refused(given: httpx.Headers) -> None:
    """Codings without a limit, and two codings over each other, are refused (R39)."""
    with pytest.raises(httpx.DecodingError, match="by gzip or deflate, and once"):
        next(split_body(b"x", given))


def request(**body: Any) -> httpx.Request:
    """Return a request with this body."""
    return httpx.Request("PUT", "https://wix.example/", **body)


async def generated() -> AsyncIterator[bytes]:
    """Be a body that can be made once."""
    yield b"once"


class OwnStream(httpx.AsyncByteStream):
    """A body of the app's own, of which nothing is known."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"own"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content": b"x"},
        {"content": "x"},
        {"json": {"a": 1}},
        {"data": {"a": "b"}},
        {"files": {"f": b"x"}},
        {"files": {"f": ("name", "text")}},
        {"files": {"f": io.BytesIO(b"x")}, "data": {"a": ["b", "c"]}},
    ],
)
def test_a_body_in_memory_can_be_sent_again(body: dict[str, Any]) -> None:
    """Bytes, JSON, forms, and uploads of bytes and of buffers can be sent any number of times."""
    assert can_be_sent_again(request(**body))


@pytest.mark.parametrize("body", [{"content": generated()}, {"stream": OwnStream()}])
def test_a_stream_cannot_be_sent_again(body: dict[str, Any]) -> None:
    """A generator cannot be, and nobody knows of a stream of the app's own."""
    assert not can_be_sent_again(request(**body))


class Unseekable(io.BytesIO):
    """A file that cannot be rewound, and says so as pipes do."""

    def seek(self, *_: Any) -> int:
        raise io.UnsupportedOperation("seek")


class OnlyRead:
    """A file that has nothing but `read`."""

    def read(self, _size: int = -1) -> bytes:
        return b""


@pytest.fixture(name="pipe")
def _pipe() -> Iterator[Any]:
    """Return the end of a pipe from which its bytes are read."""
    reading, writing = os.pipe()
    os.close(writing)
    with open(reading, "rb") as pipe:
        yield pipe


def test_an_upload_of_a_pipe_cannot_be_sent_again(pipe: Any) -> None:
    """A pipe is read once."""
    assert not can_be_sent_again(request(files={"f": pipe}))


@pytest.mark.parametrize("file", [Unseekable(b"x"), OnlyRead()])
def test_an_upload_that_cannot_be_rewound_cannot_be_sent_again(file: Any) -> None:
    """One file that cannot be rewound is enough, among others that can."""
    assert not can_be_sent_again(request(files={"f": io.BytesIO(b"x"), "g": file, "h": b"x"}))


def test_an_upload_with_a_length_of_the_app_s_own_cannot_be_sent_again() -> None:
    """A Content-Length that is not the upload's says that nobody knows how much is to be sent."""
    odd = request(files={"f": b"x"}, headers={"Content-Length": "7"})

    assert not can_be_sent_again(odd)


@given(st.lists(st.tuples(st.binary(max_size=100), st.integers(0, 100))), st.booleans())
def test_an_upload_is_the_same_each_time(files: list[tuple[bytes, int]], are_real: bool) -> None:
    """However much of its files was read before and in between, an upload has the same bytes."""
    sent = []
    with ExitStack() as stack:
        new_file: Callable[[], Any] = tempfile.TemporaryFile if are_real else io.BytesIO
        opened = [stack.enter_context(new_file()) for _ in files]
        for file, (content, _) in zip(opened, files, strict=True):
            file.write(content)
            file.flush()
        upload = request(files=[("f", file) for file in opened], data={"a": "b"})
        for _ in range(2):
            assert can_be_sent_again(upload)
            sent.append(b"".join(upload.stream))  # type: ignore[arg-type] # it is for both
            for file, (_, position) in zip(opened, files, strict=True):
                file.seek(position)

    assert sent[0] == sent[1]
    assert str(len(sent[0])) == upload.headers["Content-Length"]
    assert not (files and can_be_sent_again(upload))
