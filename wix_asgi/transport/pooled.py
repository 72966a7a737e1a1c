"""The connection pool that a process shares; the one module that makes httpx transports.

httpx's own pool looks at every connection for every request, and spends its time on that above
some twenty requests in flight. Here each connection is a transport of its own: on asyncio a
`NativeConnection`, on trio one of httpx. The pool hands out the connection used last first, to the
request that has waited longest.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from functools import cache
from typing import Final, cast

import anyio
from anyio.lowlevel import current_token

from wix_asgi._http import httpx
from wix_asgi.concurrency.per_loop import PerLoop
from wix_asgi.reporting.line_limit import LineLimit
from wix_asgi.transport._patching import is_patched
from wix_asgi.transport._pool import ConnectionSlot, Pool
from wix_asgi.transport.bodies import can_be_sent_again
from wix_asgi.transport.native import NativeConnection
from wix_asgi.transport.origins import origin_of
from wix_asgi.transport.policy import PoolPolicy

__all__ = ["IDEMPOTENT", "PoolTransport", "httpx_connector", "native_connector"]

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""Methods whose requests may be sent twice without harm (RFC 9110, 9.2.2)."""

_DROPPED_LINE_SECONDS: Final = 60.0
"""Between two log lines about a host's dropped answers: a route that drops them does so all day."""

# The server hung up before it answered, as it may do on any connection that it considers idle.
_LOST = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


class PoolTransport(httpx.AsyncBaseTransport):
    """A bounded LIFO of single-connection transports, per origin.

    All sites and tasks of a process share one. It may be used from several event loops, at once
    or in turn: each has its own connections, and the limits hold for each. Connections that have
    been idle for too long are closed when the next request begins or ends, not by a task of their
    own; so are those of answers that were collected as garbage without being closed.
    No proxy or .netrc of the environment is used; SSL_CERT_FILE and SSL_CERT_DIR are.

    Args:
        policy: The numbers of the pool.
        connect: Makes a transport that has at most one connection, on the event loop that uses it.
            Default: a `NativeConnection` on asyncio, httpx's own on trio.
    """

    def __init__(
        self,
        policy: PoolPolicy | None = None,
        *,
        connect: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._policy = policy or PoolPolicy()
        self._connect = connect or native_connector(self._policy)
        self._dropped_lines = LineLimit(_DROPPED_LINE_SECONDS)
        self._pools = PerLoop(self._make_pool)

    @property
    def in_flight(self) -> int:
        """Requests of the running event loop that hold a connection, or are about to."""
        return self._pool().in_flight

    @property
    def idle(self) -> int:
        """Idle connections of the running event loop, kept for later requests."""
        return self._pool().idle

    def warm(self) -> None:
        """Make the process's TLS context, and import httpcore where requests go by it.

        Otherwise the first request would do both, and block its event loop meanwhile. On asyncio
        hardly any request goes by httpcore, whose import is a thirtieth of an app's start.
        """
        _ssl_context()
        if not _is_on_asyncio() or is_patched():
            httpx_connector(self._policy)()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request` on the connection used last, or on a new one.

        A connection that the server has closed is replaced once, if the request can be repeated
        without harm. A request that cannot be repeated never gets a connection that has been idle
        for `PoolPolicy.fresh_seconds`: it would be lost if the server closed that meanwhile.

        Raises:
            httpx.PoolTimeout: All connections were in use for all of the request's `pool` timeout.
            httpx.TransportError: As httpx's own transports raise it.
        """
        slot = await self._acquire(request)
        try:
            response = await _exchange(slot, request)
        except BaseException:
            await slot.release(keep=False)
            raise
        if response.is_closed or isinstance(response.stream, httpx.ByteStream):
            # The whole body has come, and the connection is free.
            await slot.release(keep=True)
        else:
            response.stream = _SlotStream(response, slot, self._policy.close_seconds)
        return response

    async def aclose(self) -> None:
        """Close the running event loop's connections: idle ones now, those in use afterwards.

        The transport can be used again, and closed again.
        """
        await self._pool().aclose()

    async def _acquire(self, request: httpx.Request) -> ConnectionSlot:
        timeout: float | None = request.extensions.get("timeout", {}).get("pool")
        try:
            return await self._pool().acquire(timeout)
        except TimeoutError:
            count = self._policy.max_connections
            raise httpx.PoolTimeout(
                f"All {count} connections were in use for {timeout} s. Make fewer "
                "calls at once, close responses that are streamed, or raise the pool timeout.",
                request=request,
            ) from None

    def _pool(self) -> Pool:
        return self._pools.here()

    def _make_pool(self) -> Pool:
        return Pool(self._policy, self._connect, self._dropped_lines)


class _SlotStream(httpx.AsyncByteStream):
    """The body of `response`; its end, failure, closing or collection as garbage frees the slot."""

    def __init__(
        self, response: httpx.Response, slot: ConnectionSlot, close_seconds: float
    ) -> None:
        self._stream = cast("httpx.AsyncByteStream", response.stream)
        self._chunks = aiter(self._stream)
        self._slot = slot
        self._close_seconds = close_seconds
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

    def __del__(self) -> None:
        # Dropped half-way, by a framework whose browser has left for instance.
        if not self._closed:
            self._slot.drop()

    async def _close(self, *, keep: bool) -> None:
        if self._closed:
            return
        self._closed = True
        is_reusable = False
        try:
            with anyio.move_on_after(self._close_seconds, shield=True):
                await self._stream.aclose()
                is_reusable = keep
        finally:
            await self._slot.release(keep=is_reusable)


async def _exchange(slot: ConnectionSlot, request: httpx.Request) -> httpx.Response:
    repeatable = request.method in IDEMPOTENT and can_be_sent_again(request)
    connection = await slot.take(origin_of(request.url), repeatable=repeatable)
    try:
        return await connection.transport.handle_async_request(request)
    except _LOST:
        # Asked again, since a file may have been closed meanwhile.
        if not (connection.reused and repeatable and can_be_sent_again(request)):
            raise
    connection = await slot.replace(connection)
    return await connection.transport.handle_async_request(request)


def httpx_connector(policy: PoolPolicy) -> Callable[[], httpx.AsyncBaseTransport]:
    """Return a maker of httpx's own transports of one connection."""
    limits = httpx.Limits(
        max_connections=1, max_keepalive_connections=1, keepalive_expiry=policy.keepalive_seconds
    )

    def connect() -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(verify=_ssl_context(), limits=limits, trust_env=False)

    return connect


def native_connector(policy: PoolPolicy) -> Callable[[], httpx.AsyncBaseTransport]:
    """Return a maker of native connections, or of httpx's own where the event loop is trio's."""
    connect_by_httpx = httpx_connector(policy)

    def connect() -> httpx.AsyncBaseTransport:
        if isinstance(current_token().native_token, asyncio.AbstractEventLoop):
            return NativeConnection(_ssl_context, connect_by_httpx)
        return connect_by_httpx()

    return connect


def _is_on_asyncio() -> bool:
    """Whether asyncio runs here; False outside of event loops, before which one is not known."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@cache
def _ssl_context() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
