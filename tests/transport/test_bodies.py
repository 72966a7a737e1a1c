from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest

from wix_asgi._http import httpx
from wix_asgi.transport.bodies import split_body


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
