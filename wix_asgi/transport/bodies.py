"""Bodies of requests, which may be sent again or not, and bodies of answers, which are split.

A packed body of a few kilobytes may unpack to gigabytes. Its reader unpacks chunk by chunk and
stops at its limit, so each chunk must unpack to little.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from wix_asgi._http import httpx

__all__ = ["can_be_sent_again", "split_body"]

# The class is not public, the stream is. With a content type, nothing is guessed from the name.
_MULTIPART: Final = type(httpx.Request("POST", "/", files={"": ("", b"", "text/plain")}).stream)

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


def can_be_sent_again(request: httpx.Request) -> bool:
    """Return whether the body of `request` can be sent again: the same bytes, all of them.

    A body in memory can, and an upload (`files=`) whose files can be rewound and still have the
    length of its `Content-Length`. The files are rewound by this, as by every sending of them.
    """
    if isinstance(request.stream, httpx.ByteStream):
        return True
    if not isinstance(request.stream, _MULTIPART):
        return False
    upload: Any = request.stream
    try:
        for field in upload.fields:
            _rewind(getattr(field, "file", b""))
        length = str(upload.get_content_length())
    except (AttributeError, OSError, ValueError):
        # It has no `seek`, is a pipe, or is closed.
        return False
    declared: str | None = request.headers.get("Content-Length")
    return declared == length


def _rewind(file: Any) -> None:
    if not isinstance(file, bytes | str):
        file.seek(0)
