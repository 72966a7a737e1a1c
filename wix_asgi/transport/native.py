"""A transport of one connection on asyncio's own protocol, which has httpcore's place on asyncio.

httpcore and the streams of anyio cost several times the CPU of the request itself. What they alone
can do still goes by them: requests that ask for a switch of protocols, or that carry an extension
of httpcore's own, and all requests while httpx or httpcore is patched from outside.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

from wix_asgi._http import httpx
from wix_asgi.transport._answer import Answer
from wix_asgi.transport._dialing import dial
from wix_asgi.transport._http1 import Http1Connection
from wix_asgi.transport._patching import is_patched
from wix_asgi.transport._request_head import RequestHead
from wix_asgi.transport._upload import send
from wix_asgi.transport.origins import Origin, origin_of

__all__ = ["NativeConnection"]

_OF_HTTPCORE: Final = frozenset({"sni_hostname", "target", "trace"})
"""Extensions of requests that httpcore alone understands."""


class NativeConnection(httpx.AsyncBaseTransport):
    """At most one connection, opened for the first request and again when it has been lost.

    It carries one request at a time, on the event loop on which it was made.

    Args:
        make_context: Gives the context of TLS, for the first HTTPS request.
        make_fallback: Makes a transport of httpcore that has at most one connection.
    """

    def __init__(
        self,
        make_context: Callable[[], ssl.SSLContext],
        make_fallback: Callable[[], httpx.AsyncBaseTransport],
    ) -> None:
        self._make_context = make_context
        self._make_fallback = make_fallback
        self._fallback: httpx.AsyncBaseTransport | None = None
        self._connection: Http1Connection | None = None
        self._origin: Origin | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send `request`, and return when the head of its answer has come.

        Where the whole body has come with it, the stream of the answer is an `httpx.ByteStream`,
        and the connection is free for another request.

        Raises:
            httpx.ConnectError, httpx.ConnectTimeout: Nothing was sent.
            httpx.LocalProtocolError: The request cannot be sent as it is.
            httpx.TransportError: As httpx's own transports raise it.
        """
        if _needs_httpcore(request):
            return await (await self._go_by_httpcore()).handle_async_request(request)
        if self._fallback is not None:
            await self.aclose()
        head = RequestHead.of(request)
        seconds: dict[str, float | None] = request.extensions.get("timeout", {})
        connection = await self._connect(request, seconds.get("connect"))
        answer = connection.begin(is_head_only=request.method == "HEAD")
        try:
            is_sent = await send(connection, request, head, seconds.get("write"))
            await connection.receive_head(answer, seconds.get("read"))
        except BaseException:
            connection.finish(keep=False)
            raise
        keep = is_sent and head.keep_alive
        stream: httpx.AsyncByteStream
        if answer.is_complete:
            stream = httpx.ByteStream(answer.take_body())
            connection.finish(keep=keep)
        else:
            stream = _BodyStream(connection, answer, seconds.get("read"), keep=keep)
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=stream,
            extensions={
                "http_version": answer.http_version,
                "reason_phrase": answer.reason,
                "network_stream": connection,
            },
        )

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        fallback, self._fallback = self._fallback, None
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()
        if fallback is not None:
            await fallback.aclose()

    async def _connect(self, request: httpx.Request, seconds: float | None) -> Http1Connection:
        """Return the connection that is open, if it is fit for `request`, or else a new one."""
        url = request.url
        origin = origin_of(url)
        connection = self._connection
        if connection is not None:
            if connection.is_usable and self._origin == origin:
                return connection
            await self.aclose()
        connection = await dial(url, self._make_context, seconds)
        self._connection, self._origin = connection, origin
        return connection

    async def _go_by_httpcore(self) -> httpx.AsyncBaseTransport:
        if self._fallback is None:
            await self.aclose()
            self._fallback = self._make_fallback()
        return self._fallback


class _BodyStream(httpx.AsyncByteStream):
    """The body of an answer of which a part is yet to come."""

    def __init__(
        self, connection: Http1Connection, answer: Answer, seconds: float | None, *, keep: bool
    ) -> None:
        self._connection = connection
        self._answer = answer
        self._seconds = seconds
        self._keep = keep
        self._is_closed = False

    def __aiter__(self) -> _BodyStream:
        return self

    async def __anext__(self) -> bytes:
        body = b"" if self._is_closed else await self._receive()
        if body:
            return body
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give the connection back if all has come, and close it if not."""
        if not self._is_closed:
            self._is_closed = True
            self._connection.finish(keep=self._keep)

    async def _receive(self) -> bytes:
        try:
            return await self._connection.receive(self._answer, self._seconds)
        except BaseException:
            await self.aclose()
            raise


def _needs_httpcore(request: httpx.Request) -> bool:
    return (
        is_patched()
        or not _OF_HTTPCORE.isdisjoint(request.extensions)
        or "upgrade" in request.headers
        or request.method == "CONNECT"
        or request.url.scheme not in {"http", "https"}
    )
