"""The limits of a call's reading: they hold for unpacked bytes and for time on the network.

A decoder is given small pieces, so that no single piece unpacks to much more than the limit.
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final, cast

from wix_asgi._frames import without_frames
from wix_asgi._http import httpx
from wix_asgi.errors import ResponseTooLarge
from wix_asgi.transport.bodies import split_body

__all__ = ["LimitedStream", "ReadLimits", "is_limited", "limit"]

_LIMITS: Final = "wix_asgi.limits"
"""The extension of httpx in which a request carries the limits of its call."""


_MAX_PIECES: Final = 64
"""Packed pieces of a kilobyte that a sync reader gets at a time: httpcore reads 64 KiB at most
(`READ_NUM_BYTES`), and they are counted as unproductive until they are unpacked."""


class ReadLimits:
    """How many bytes and seconds one call may still read, its redirects and refusals included."""

    def __init__(
        self,
        size: float,
        seconds: float,
        *,
        unproductive: float = math.inf,
        too_large: str | None = None,
    ) -> None:
        """Allow `size` unpacked bytes, and `unproductive` packed ones that unpack to nothing.

        `too_large` is the message of the error for more bytes; by default, that of its class.
        """
        self._size = size
        self._seconds = seconds
        self._max_unproductive = unproductive
        self._unproductive = 0
        self._too_large = too_large

    def hold_for(self, request: httpx.Request) -> None:
        """Write these limits into `request`, whose extensions are its own."""
        request.extensions[_LIMITS] = self

    def lift(self) -> None:
        """Allow everything, once the answer is handed over to the caller."""
        self._size = self._seconds = math.inf

    @property
    def are_lifted(self) -> bool:
        """Whether everything is allowed."""
        return self._size == math.inf

    @property
    def are_exceeded(self) -> bool:
        """Whether more bytes were read than the call may read."""
        return self._size < 0 or self._unproductive > self._max_unproductive

    def count_seconds(self, seconds: float) -> None:
        """Count time that the network took."""
        self._seconds -= seconds

    def count_packed(self, size: int) -> None:
        """Count bytes for the decoder, which keeps those behind its end and gives nothing."""
        self._unproductive += size

    def count(self, size: int) -> None:
        """Count unpacked bytes."""
        self._size -= size
        self._unproductive = 0

    def check(self) -> None:
        """Raise ResponseTooLarge or httpx.ReadTimeout where the call has read too much."""
        if self.are_exceeded:
            raise ResponseTooLarge(self._too_large)
        if self._seconds <= 0:
            raise httpx.ReadTimeout("No whole answer in time.")


_NO_LIMITS: Final = ReadLimits(math.inf, math.inf)


def is_limited(request: httpx.Request) -> bool:
    """Return whether `request` carries the limits of a call under way, which a WixClient writes."""
    limits: ReadLimits = request.extensions.get(_LIMITS, _NO_LIMITS)
    return not limits.are_lifted


def limit(request: httpx.Request, response: httpx.Response) -> httpx.Response:
    """Return `response` within the limits of its call, which `request` carries."""
    # An event hook of the app's own may have replaced the extensions.
    limits: ReadLimits = request.extensions.get(_LIMITS, _NO_LIMITS)
    is_packed = "Content-Encoding" in response.headers
    body = LimitedStream(response, limits, is_packed=is_packed)
    if not is_packed:
        response.stream = body
        return response
    return _LimitedResponse(
        response.status_code,
        headers=response.headers,
        stream=body,
        extensions={**response.extensions, _LIMITS: limits},
    )


class LimitedStream(httpx.AsyncByteStream):
    """A body that ends with an error where its call has read too much."""

    # No async generator, which would outlive this on trio where it is left half-way.
    def __init__(self, response: httpx.Response, limits: ReadLimits, *, is_packed: bool) -> None:
        self._stream = cast("httpx.AsyncByteStream", response.stream)
        self._chunks = aiter(self._stream)
        self._headers = response.headers
        self._limits = limits
        self._is_packed = is_packed
        self._pieces: Iterator[bytes] = iter(())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while (piece := next(self._pieces, None)) is None:
            self._pieces = self._cut(await self._read())
        self._limits.check()
        return piece

    async def read_pieces(self) -> list[bytes]:
        """Return the next pieces of the body, as many as came by one read: a sync reader's share.

        Raises:
            StopAsyncIteration: The body is over.
        """
        first = await anext(self)
        return [first, *itertools.islice(self._pieces, _MAX_PIECES - 1)]

    async def _read(self) -> bytes:
        began = time.monotonic()
        handled = sys.exception()
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            raise
        except Exception as exc:
            # They hold the request with the token that was dialled.
            without_frames(exc, until=handled)
            raise
        self._limits.count_seconds(time.monotonic() - began)
        return chunk

    def _cut(self, chunk: bytes) -> Iterator[bytes]:
        if self._limits.are_lifted:
            yield chunk
        elif self._is_packed:
            for piece in split_body(chunk, self._headers):
                self._limits.count_packed(len(piece))
                yield piece
        else:
            self._limits.count(len(chunk))
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _LimitedResponse(httpx.Response):
    """An answer whose limits hold for the bytes that it unpacks to."""

    def iter_bytes(self, chunk_size: int | None = None) -> Iterator[bytes]:
        limits: ReadLimits = self.extensions.get(_LIMITS, _NO_LIMITS)
        for chunk in super().iter_bytes(chunk_size):
            limits.count(len(chunk))
            if not limits.are_exceeded:
                yield chunk
        limits.check()

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        # An answer that was pickled has no extensions, and was read before.
        limits: ReadLimits = self.extensions.get(_LIMITS, _NO_LIMITS)
        async for chunk in super().aiter_bytes(chunk_size):
            limits.count(len(chunk))
            if not limits.are_exceeded:
                yield chunk
        # Raised here after the last chunk only: else by the body, so that every iterator ends.
        limits.check()
