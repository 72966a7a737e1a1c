"""The parts of a sync client: they hand each step of a call to its async twin on the portal."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Final, NoReturn, TypeVar, cast

import anyio

from wix_asgi._http import httpx
from wix_asgi.client._auth import WixAuth
from wix_asgi.client._limits import LimitedStream
from wix_asgi.client._token_transport import TOKEN, TokenTransport
from wix_asgi.concurrency.portal import portal

__all__ = ["Deadline", "SyncTokenTransport", "SyncWixAuth"]

T = TypeVar("T")

_DEADLINE: Final = "wix_asgi.deadline"
"""The extension of httpx in which a request carries the deadline of its call."""

_READ_BY_AUTH: Final = frozenset({401, 429, 503})
"""The statuses whose answers `WixAuth` reads before it sends the call again."""


class Deadline:
    """The end of one whole call, its redirects and refusals included."""

    def __init__(self, seconds: float) -> None:
        """End in `seconds` from now; infinity is never."""
        self._seconds = seconds
        self._ends_at = time.monotonic() + seconds

    def hold_for(self, request: httpx.Request) -> None:
        """Write this into `request`, whose extensions are its own."""
        request.extensions[_DEADLINE] = self

    def lift(self) -> None:
        """Allow all the time, once the answer is handed over to the caller."""
        self._ends_at = math.inf

    async def bound(self, request: httpx.Request, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work` for `request` before the end; raises httpx.ReadTimeout then."""
        if self._ends_at == math.inf:
            return await work()
        with anyio.move_on_after(self._ends_at - time.monotonic()):
            return await work()
        raise httpx.ReadTimeout(f"No whole answer within {self._seconds:.0f} s.", request=request)


_NEVER: Final = Deadline(math.inf)


def _call(request: httpx.Request, work: Callable[[], Awaitable[T]]) -> T:
    """Do `work` for `request` on the portal, within the deadline of its call."""
    # An event hook of the app's own may have replaced the extensions.
    deadline: Deadline = request.extensions.get(_DEADLINE, _NEVER)
    return portal().call(lambda: deadline.bound(request, work))


class SyncWixAuth(httpx.Auth):
    """Lets a `WixAuth` decide which token a sync call carries, and when it is sent again."""

    def __init__(self, auth: WixAuth) -> None:
        """Ask `auth` on the portal."""
        self._auth = auth

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Send what the async flow sends; raises its errors."""
        flow = self._auth.async_auth_flow(request)
        try:
            sent = _call(request, lambda: anext(flow))
            while True:
                response = yield sent
                if TOKEN in response.request.extensions and response.status_code in _READ_BY_AUTH:
                    # Here, since the flow would read it on the portal: it finds it read.
                    response.read()
                answer = response
                sent = _call(request, lambda: flow.asend(answer))  # noqa: B023 - called at once
        except StopAsyncIteration:
            return
        except BaseException:
            # Left half-way by an error of the call, the flow would end as garbage.
            portal().start_soon(flow.aclose)
            raise

    def async_auth_flow(self, request: httpx.Request) -> NoReturn:
        """Raise RuntimeError: only the sync client that has this auth attaches its token."""
        raise RuntimeError("The auth of a SyncWixClient is for that client alone.")


class SyncTokenTransport(httpx.BaseTransport):
    """Sends each hop by a TokenTransport on the portal; shares the pool, never closes it."""

    def __init__(self, transport: TokenTransport) -> None:
        """Send by `transport`."""
        self._transport = transport

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one hop; raises the errors of the transport."""
        if not isinstance(request.stream, httpx.AsyncByteStream):
            request.stream = _ThreadedBody(request.stream)
        response = _call(request, lambda: self._transport.handle_async_request(request))
        response.stream = _SyncStream(request, cast("LimitedStream", response.stream))
        return response


class _ThreadedBody(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that an app's iterator makes: it may block, and is read in a thread."""

    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = iter(self._stream)
        while (chunk := await anyio.to_thread.run_sync(next, chunks, None)) is not None:
            yield chunk


class _SyncStream(httpx.SyncByteStream):
    """The body of an answer, read on the portal."""

    def __init__(self, request: httpx.Request, stream: LimitedStream) -> None:
        self._request = request
        self._stream = stream
        self._is_over = False

    def __iter__(self) -> Iterator[bytes]:
        while True:
            try:
                pieces = _call(self._request, self._stream.read_pieces)
            except StopAsyncIteration:
                self._is_over = True
                return
            yield from pieces

    def close(self) -> None:
        if not self._is_over:
            # Without the deadline, which may be over, and has given the connection back then.
            portal().call(self._stream.aclose)
