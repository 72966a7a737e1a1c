"""The one place that makes HTTP transports: the connection pool that a process shares.

httpx's own pool looks at every connection for every request, and above some twenty in flight
spends its time on that. Here each connection is an httpx transport of its own, and the pool hands
them out: the connection used last first, the request that waited longest first.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Final, cast

import anyio

from wix_asgi._http import httpx
from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.transport._pool import CLOSE_SECONDS, ConnectionSlot, Pool
from wix_asgi.transport.origins import origin_of

__all__ = ["IDEMPOTENT", "PoolTransport", "is_whole"]

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""Methods of which a repetition does no harm (RFC 9110, 9.2.2)."""

_LOST = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


class PoolTransport(httpx.AsyncBaseTransport):
    """A bounded LIFO of single-connection httpx transports, per origin.

    One is shared by all sites and tasks of a process. It may be used from several event loops,
    at once or in turn: each has its own connections and its own bound. Connections that are idle
    for too long are closed when the next request comes or goes, not by a task of their own.
    No proxy or .netrc of the environment is used; SSL_CERT_FILE and SSL_CERT_DIR are.

    Args:
        max_connections: How many connections may be open, idle ones included, and so how many
            requests may be in flight; the others wait in turn, for the request's `pool` timeout.
        keepalive_expiry: Seconds after which an idle connection is not used again.
        connect: Makes a transport that has at most one connection. Default: httpx's own.

    Raises:
        ValueError: `max_connections` is below 1.
    """

    def __init__(
        self,
        *,
        max_connections: int = 100,
        keepalive_expiry: float = 30.0,
        connect: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        if max_connections < 1:
            raise ValueError("max_connections must be at least 1")
        self._max_connections = max_connections
        self._keepalive_expiry = keepalive_expiry
        self._connect = connect or _connector(keepalive_expiry)
        self._pools = PerLoop(self._make_pool)

    @property
    def in_flight(self) -> int:
        """Requests of the running event loop that hold a connection, or are about to."""
        return self._pool().in_flight

    @property
    def idle(self) -> int:
        """Connections of the running event loop that wait to be used again."""
        return self._pool().idle

    def warm(self) -> None:
        """Make the process's TLS context, and import what sends requests.

        Else the first request would do that, and hold up its event loop for as long.
        """
        _connector(self._keepalive_expiry)()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` on the connection used last, or on a new one.

        A connection that turns out to have been closed by the server is replaced once, where
        repeating the request can do no harm. Any other request goes on no connection that has
        been idle for a second: it would be lost where the server closes that meanwhile.

        Raises:
            httpx.PoolTimeout: All connections were in use for as long as the request may wait.
            httpx.TransportError: As of httpx's own transports.
        """
        place = await self._place(request)
        try:
            response = await _exchange(place, request)
        except BaseException:
            await place.leave(keep=False)
            raise
        if response.is_closed:
            await place.leave(keep=True)
        else:
            response.stream = _SlotStream(response, place)
        return response

    async def aclose(self) -> None:
        """Close the running event loop's connections: the idle ones now, the others after use.

        The transport can be closed again, and used again.
        """
        await self._pool().aclose()

    async def _place(self, request: httpx.Request) -> ConnectionSlot:
        patience: float | None = request.extensions.get("timeout", {}).get("pool")
        try:
            return await self._pool().enter(patience)
        except TimeoutError:
            raise httpx.PoolTimeout(
                f"All {self._max_connections} connections were in use for {patience} s. Make fewer "
                "calls at once, close responses that are streamed, or raise the pool timeout.",
                request=request,
            ) from None

    def _pool(self) -> Pool:
        return self._pools.here()

    def _make_pool(self) -> Pool:
        return Pool(self._max_connections, self._keepalive_expiry, self._connect)


class _SlotStream(httpx.AsyncByteStream):
    """The body of `response`, which gives the place back when it ends, fails or is closed."""

    def __init__(self, response: httpx.Response, place: ConnectionSlot) -> None:
        self._stream = cast("httpx.AsyncByteStream", response.stream)
        self._chunks = aiter(self._stream)
        self._place = place
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            await self._close(keep=True)
            raise
        except BaseException:
            await self._close(keep=False)
            raise

    async def aclose(self) -> None:
        await self._close(keep=False)

    async def _close(self, *, keep: bool) -> None:
        if self._closed:
            return
        self._closed = True
        sound = False
        try:
            with anyio.move_on_after(CLOSE_SECONDS, shield=True):
                await self._stream.aclose()
                sound = keep
        finally:
            await self._place.leave(keep=sound)


async def _exchange(place: ConnectionSlot, request: httpx.Request) -> httpx.Response:
    repeatable = _is_repeatable(request)
    connection = await place.take(origin_of(request.url), repeatable=repeatable)
    try:
        return await connection.transport.handle_async_request(request)
    except _LOST:
        if not (connection.reused and repeatable):
            raise
    connection = await place.replace(connection)
    return await connection.transport.handle_async_request(request)


def is_whole(request: httpx.Request) -> bool:
    """Return whether the body of `request` can be sent again."""
    return isinstance(request.stream, httpx.ByteStream)


def _is_repeatable(request: httpx.Request) -> bool:
    return request.method in IDEMPOTENT and is_whole(request)


def _connector(keepalive_expiry: float) -> Callable[[], httpx.AsyncBaseTransport]:
    limits = httpx.Limits(
        max_connections=1, max_keepalive_connections=1, keepalive_expiry=keepalive_expiry
    )

    def connect() -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(verify=_ssl_context(), limits=limits, trust_env=False)

    return connect


@cache
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()
