"""Sending a request: its head, and its body by the length that the head declares."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, cast

from wix_asgi._http import httpx
from wix_asgi.transport._http1 import Http1Connection
from wix_asgi.transport._request_head import RequestHead

__all__ = ["send"]

_MAX_JOINED_BYTES: Final = 64 * 1024
"""A body up to it is sent with the head in one write: copying 64 kB takes some 5 us, a write to the
socket more than 10."""


async def send(
    connection: Http1Connection,
    request: httpx.Request,
    head: RequestHead,
    seconds: float | None,
) -> bool:
    """Send `request`; return whether all of it was sent before the server hung up.

    Raises:
        httpx.WriteTimeout: A part was not taken within `seconds`.
        httpx.LocalProtocolError: The body has another length than its head declares.
    """
    stream = cast("httpx.AsyncByteStream", request.stream)
    if isinstance(stream, httpx.ByteStream):
        return await _send_bytes(connection, head, b"".join(stream), seconds)
    await connection.write(head.data, seconds)
    chunks = aiter(stream)
    return await (
        _send_chunked(connection, chunks, seconds)
        if head.length is None
        else _send_counted(connection, chunks, head.length, seconds)
    )


async def _send_bytes(
    connection: Http1Connection, head: RequestHead, body: bytes, seconds: float | None
) -> bool:
    if head.length is None:
        body = (_chunk(body) if body else b"") + b"0\r\n\r\n"
    else:
        _check_length(len(body), head.length, is_whole=True)
    if len(body) <= _MAX_JOINED_BYTES:
        return await connection.write(head.data + body, seconds)
    return await connection.write(head.data, seconds) and await connection.write(body, seconds)


async def _send_chunked(
    connection: Http1Connection, chunks: AsyncIterator[bytes], seconds: float | None
) -> bool:
    async for chunk in chunks:
        if chunk and not await _write_part(connection, _chunk(chunk), seconds):
            return False
    return await connection.write(b"0\r\n\r\n", seconds)


async def _send_counted(
    connection: Http1Connection, chunks: AsyncIterator[bytes], length: int, seconds: float | None
) -> bool:
    sent = 0
    async for chunk in chunks:
        sent += len(chunk)
        _check_length(sent, length, is_whole=False)
        if not await _write_part(connection, chunk, seconds):
            return False
    _check_length(sent, length, is_whole=True)
    return True


async def _write_part(connection: Http1Connection, data: bytes, seconds: float | None) -> bool:
    # Lets an early answer in: the server that sends one may hang up at the next write, and what it
    # sent before would be lost.
    await asyncio.sleep(0)
    return await connection.write(data, seconds)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _check_length(sent: int, declared: int, *, is_whole: bool) -> None:
    if sent > declared:
        raise httpx.LocalProtocolError("Too much data for declared Content-Length")
    if is_whole and sent < declared:
        raise httpx.LocalProtocolError("Too little data for declared Content-Length")
