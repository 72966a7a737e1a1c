"""Opening connections: addresses, TCP and TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any, Final, TypeAlias

from wix_asgi._http import httpx
from wix_asgi.transport._http1 import Http1Connection

__all__ = ["dial"]

_NEXT_ADDRESS_SECONDS: Final = 0.25
"""The head start of a connection attempt before the attempt at the next address (RFC 8305, 5)."""

_Address: TypeAlias = tuple[int, int, int, str, tuple[Any, ...]]


async def dial(
    url: httpx.URL, make_context: Callable[[], ssl.SSLContext], seconds: float | None
) -> Http1Connection:
    """Connect to the origin of `url`, which is HTTP or HTTPS.

    Args:
        url: Its host is looked up, and is the name that the certificate must have.
        make_context: Gives the context of TLS; called for HTTPS alone.
        seconds: The time for TCP with the look-up, and again for TLS.

    Raises:
        httpx.ConnectTimeout: One of the two took longer.
        httpx.ConnectError: One of the two failed.
    """
    loop = asyncio.get_running_loop()
    context = make_context() if url.scheme == "https" else None
    host = url.raw_host.decode("ascii")
    try:
        async with asyncio.timeout(seconds):
            connected = await _connect(loop, host, url.port or (443 if context else 80))
        async with asyncio.timeout(seconds):
            _, connection = await loop.create_connection(
                Http1Connection,
                sock=connected,
                ssl=context,
                server_hostname=host if context else None,
            )
    except TimeoutError as exc:
        raise httpx.ConnectTimeout(str(exc)) from exc
    except (OSError, ValueError) as exc:
        # ValueError: TLS or the look-up refuses the text of the host as a name.
        raise httpx.ConnectError(str(exc)) from exc
    return connection


async def _connect(loop: asyncio.AbstractEventLoop, host: str, port: int) -> socket.socket:
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = _interleaved(found)
    try:
        if len(addresses) == 1:
            return await _connect_to(loop, addresses[0])
        return await _connect_to_first(loop, addresses)
    except OSError as exc:
        raise OSError("All connection attempts failed") from exc


def _interleaved(addresses: Sequence[_Address]) -> list[_Address]:
    """Take the families in turn, that of the first address first (RFC 8305, 4)."""
    first = addresses[0][0]
    same = [address for address in addresses if address[0] == first]
    others = [address for address in addresses if address[0] != first]
    in_turn = chain.from_iterable(zip_longest(same, others))
    return [address for address in in_turn if address is not None]


async def _connect_to_first(
    loop: asyncio.AbstractEventLoop, addresses: list[_Address]
) -> socket.socket:
    """Connect to the address that answers first.

    Raises:
        OSError: No address has answered; the message is that of the last attempt.
    """
    left = deque(addresses)
    attempts: set[asyncio.Task[socket.socket]] = set()
    error: BaseException | None = None
    try:
        while left or attempts:
            if left:
                attempts.add(loop.create_task(_connect_to(loop, left.popleft())))
            done, _ = await asyncio.wait(
                attempts,
                timeout=_NEXT_ADDRESS_SECONDS if left else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for attempt in done:
                attempts.remove(attempt)
                error = attempt.exception()
                if error is None:
                    return attempt.result()
    finally:
        for attempt in attempts:
            _abandon(attempt)
    raise OSError(str(error)) from error


async def _connect_to(loop: asyncio.AbstractEventLoop, address: _Address) -> socket.socket:
    family, kind, protocol, _, place = address
    attempt = socket.socket(family, kind, protocol)
    try:
        attempt.setblocking(False)
        await loop.sock_connect(attempt, place)
    except BaseException:
        attempt.close()
        raise
    return attempt


def _abandon(attempt: asyncio.Task[socket.socket]) -> None:
    if not attempt.cancel() and attempt.exception() is None:
        attempt.result().close()
