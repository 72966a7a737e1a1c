"""What happens to a call on its way to Wix: the token is named, attached, and taken anew.

The token is attached at the last moment, by the URL that is really dialled, and only to the API's
own origin: no absolute URL, redirect or event hook can take it elsewhere.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, cast

import anyio

from wix_asgi._http import httpx
from wix_asgi.errors import AuthorizationConflict, ResponseTooLarge
from wix_asgi.identity.callers import Caller
from wix_asgi.models import AccessToken
from wix_asgi.protocol.endpoints import retry_after
from wix_asgi.tokens.cache import TokenCache
from wix_asgi.transport.bodies import split_body
from wix_asgi.transport.origins import Origin, origin_of
from wix_asgi.transport.pooled import IDEMPOTENT, is_whole

__all__ = ["ReadLimits", "TokenTransport", "WixAuth", "copied"]

_BOUND: Final = "wix_asgi.bound"
_MAX_IDLE: Final = 256 * 1024
_TOKEN: Final = "wix_asgi.token"  # noqa: S105 - the name of an extension
_BUSY: Final = frozenset({429, 503})
_RETRIES: Final = 2
_RETRY_SECONDS: Final = 10.0


class WixAuth(httpx.Auth):
    """Names the token for a call; waits where Wix says so; takes another token on a 401."""

    def __init__(
        self,
        origin: Origin,
        tokens: TokenCache,
        caller: Caller,
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        """Name tokens of `caller`'s installation, for `origin` alone, once all is `ready`."""
        self._origin = origin
        self._tokens = tokens
        self._caller = caller
        self._ready = ready

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Let the call pass as it is to any other origin; to Wix, with a token."""
        if origin_of(request.url) != self._origin:
            yield request
            return
        if "Authorization" in request.headers:
            raise AuthorizationConflict
        instance_id = (await self._caller.identify()).instance_id
        await self._ready()
        patience = RetryAfter()
        renewed = False
        token = await self._tokens.get(instance_id)
        while True:
            request.extensions = {**request.extensions, _TOKEN: token}
            response = yield request
            if _TOKEN not in response.request.extensions:
                return
            if response.status_code == 401 and not renewed:
                renewed = True
                # Read, so that its connection is free while we wait.
                await response.aread()
                refused, token = token, await self._tokens.renew(instance_id, token)
                if token.value == refused.value or not is_whole(request):
                    return
            elif response.status_code == 401:
                self._tokens.note_useless(instance_id, token)
                return
            elif not await patience.wait_for(request, response):
                return


class TokenTransport(httpx.AsyncBaseTransport):
    """Attaches the token where the call really goes to Wix; shares the pool, never closes it."""

    def __init__(self, origin: Origin, transport: httpx.AsyncBaseTransport) -> None:
        """Send through `transport`, which outlives this."""
        self._origin = origin
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one hop; raises what the transport raises."""
        if _TOKEN in request.extensions and origin_of(request.url) != self._origin:
            # For good: who answers there may lead the call to Wix again.
            request.extensions = _without_token(request.extensions)
        response = await self._transport.handle_async_request(_dialled(request))
        bound: ReadLimits | None = request.extensions.get(_BOUND)
        return response if bound is None else _bounded(response, bound)


class ReadLimits:
    """What one call may still read, in bytes and seconds, its redirects and refusals included."""

    def __init__(self, size: float, seconds: float, excess: str | None = None) -> None:
        """Allow this much; `excess` is what the error says of more bytes."""
        self._size = size
        self._seconds = seconds
        self._excess = excess
        self._idle = 0

    def begin(self, request: httpx.Request) -> None:
        """Have it hold for the call of `request`, which keeps no token of a call before."""
        request.extensions = {**_without_token(request.extensions), _BOUND: self}

    def lift(self) -> None:
        """Allow everything, once the answer is its caller's."""
        self._size = self._seconds = math.inf

    @property
    def is_lifted(self) -> bool:
        """Whether everything is allowed."""
        return self._size == math.inf

    @property
    def is_exceeded(self) -> bool:
        """Whether more bytes were read than the call may."""
        return self._size < 0 or self._idle > _MAX_IDLE

    def wait(self, seconds: float) -> None:
        """Count what the network took."""
        self._seconds -= seconds

    def feed(self, size: int) -> None:
        """Count what is to be unpacked: behind its end, a decoder keeps it and gives nothing."""
        self._idle += size

    def take(self, size: int) -> None:
        """Count what is read, unpacked."""
        self._size -= size
        self._idle = 0

    def check(self) -> None:
        """Raise ResponseTooLarge or httpx.ReadTimeout where the call has read too much."""
        if self.is_exceeded:
            raise ResponseTooLarge(self._excess)
        if self._seconds <= 0:
            raise httpx.ReadTimeout("No whole answer in time.")


_NO_BOUND: Final = ReadLimits(math.inf, math.inf)


class _BoundedStream(httpx.AsyncByteStream):
    """A body that ends with an error where its call has read too much."""

    # No async generator, which would outlive this on trio where it is left half-way.
    def __init__(self, response: httpx.Response, bound: ReadLimits, *, is_packed: bool) -> None:
        self._stream = cast("httpx.AsyncByteStream", response.stream)
        self._chunks = aiter(self._stream)
        self._headers = response.headers
        self._bound = bound
        self._is_packed = is_packed
        self._pieces: Iterator[bytes] = iter(())

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        while (piece := next(self._pieces, None)) is None:
            self._pieces = self._cut(await self._read())
        self._bound.check()
        return piece

    async def _read(self) -> bytes:
        began = time.monotonic()
        chunk = await anext(self._chunks)
        self._bound.wait(time.monotonic() - began)
        return chunk

    def _cut(self, chunk: bytes) -> Iterator[bytes]:
        if self._bound.is_lifted:
            yield chunk
        elif self._is_packed:
            for piece in split_body(chunk, self._headers):
                self._bound.feed(len(piece))
                yield piece
        else:
            self._bound.take(len(chunk))
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _LimitedResponse(httpx.Response):
    """An answer that is bounded by what it unpacks to."""

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        bound: ReadLimits = self.extensions.get(_BOUND, _NO_BOUND)
        async for chunk in super().aiter_bytes(chunk_size):
            bound.take(len(chunk))
            if not bound.is_exceeded:
                yield chunk
        # Raised here after the last chunk only: else by the body, so that every iterator ends.
        bound.check()


def _bounded(response: httpx.Response, bound: ReadLimits) -> httpx.Response:
    is_packed = "Content-Encoding" in response.headers
    body = _BoundedStream(response, bound, is_packed=is_packed)
    if not is_packed:
        response.stream = body
        return response
    return _LimitedResponse(
        response.status_code,
        headers=response.headers,
        stream=body,
        extensions={**response.extensions, _BOUND: bound},
    )


class RetryAfter:
    """How long one call waits for Wix to take it: twice, and ten seconds in all."""

    def __init__(self) -> None:
        self._retries = _RETRIES
        self._seconds = _RETRY_SECONDS

    async def wait_for(self, request: httpx.Request, response: httpx.Response) -> bool:
        """Wait as long as the answer asks for; False where it does not, or asks for too much."""
        if response.status_code not in _BUSY or request.method not in IDEMPOTENT:
            return False
        seconds = retry_after(response.headers)
        if seconds is None or not is_whole(request):
            return False
        self._retries -= 1
        self._seconds -= seconds
        if self._retries < 0 or self._seconds < 0:
            return False
        await response.aread()
        await anyio.sleep(seconds)
        return True


def _without_token(extensions: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in extensions.items() if name != _TOKEN}


def copied(request: httpx.Request) -> httpx.Request:
    """Return the same request as another object."""
    # copy.copy() would leave out the body, as pickling does.
    copy = httpx.Request.__new__(httpx.Request)
    vars(copy).update(vars(request))
    return copy


def _dialled(request: httpx.Request) -> httpx.Request:
    """Return what is really sent: a copy, for the token is in no header that others see."""
    dialled = copied(request)
    dialled.headers = request.headers.copy()
    token: AccessToken | None = request.extensions.get(_TOKEN)
    if token is not None:
        # Without "Bearer", as Wix wants it.
        dialled.headers["Authorization"] = token.value
    return dialled
