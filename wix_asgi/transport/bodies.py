"""Bodies, split so that no part of a packed one unpacks to much at once.

A body of a few kilobytes may unpack to gigabytes. Its reader unpacks chunk by chunk and stops at
its limit, so each chunk must unpack to little.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from wix_asgi._http import httpx

__all__ = ["split_body"]

_CHUNK_BYTES: Final = 1024
"""Deflate, and so gzip, unpacks to at most 1,032 times its size (zlib.net/zlib_tech.html): a chunk
of 1,024 bytes gives about a megabyte."""

_UNLIMITED_CODINGS: Final = frozenset({"br", "zstd"})
"""Content codings in which one kilobyte may unpack to a gigabyte."""


def split_body(body: bytes, headers: httpx.Headers) -> Iterator[bytes]:
    """Split `body`, or one part of it, into chunks that unpack to about a megabyte each at most.

    Raises:
        httpx.DecodingError: `headers` say that it is packed more than once, or in a way that
            gives a chunk no such limit. Raised when the first chunk is asked for.
    """
    values = headers.get_list("Content-Encoding", split_commas=True)
    names = [value.strip().lower() for value in values]
    codings = [name for name in names if name not in {"", "identity"}]
    if len(codings) > 1 or not _UNLIMITED_CODINGS.isdisjoint(codings):
        raise httpx.DecodingError(
            "An answer that is read whole may be packed by gzip or deflate, and once."
        )
    for start in range(0, len(body), _CHUNK_BYTES):
        yield body[start : start + _CHUNK_BYTES]
