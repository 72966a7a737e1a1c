"""Packed bodies, cut so that they unpack to little at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from wix_asgi._http import httpx

__all__ = ["pieces"]

_PIECE: Final = 1024
# A kilobyte of these may unpack to a gigabyte.
_WHOLE: Final = frozenset({"br", "zstd"})


def pieces(packed: bytes, headers: httpx.Headers) -> Iterator[bytes]:
    """Cut a body, or a part of it, so that no piece unpacks to much over a megabyte.

    Raises:
        httpx.DecodingError: It is packed more than once, or in a way that knows no such measure.
    """
    given = headers.get_list("Content-Encoding", split_commas=True)
    codings = [coding.strip().lower() for coding in given]
    codings = [coding for coding in codings if coding not in {"", "identity"}]
    if len(codings) > 1 or not _WHOLE.isdisjoint(codings):
        raise httpx.DecodingError(
            "An answer that is read whole may be packed by gzip or deflate, and once."
        )
    for at in range(0, len(packed), _PIECE):
        yield packed[at : at + _PIECE]
