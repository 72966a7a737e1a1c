"""What happens to a call on its way to Wix: the token is named, attached, and taken anew.

The token is attached at the last moment, by the URL that is really dialled, and only to the API's
own origin: no absolute URL, redirect or event hook can take it elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final, cast

import anyio

from wix_asgi._http import httpx
from wix_asgi.endpoints import retry_after
from wix_asgi.errors import AuthorizationConflict, ResponseTooLarge
from wix_asgi.identity import Caller
from wix_asgi.models import AccessToken
from wix_asgi.tokens import Tokens

__all__ = ["MAX_BODY", "Guard", "WixAuth"]

MAX_BODY: Final = "wix_asgi.max_body"
_TOKEN: Final = "wix_asgi.token"  # noqa: S105 - the name of an extension
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
_BUSY: Final = frozenset({429, 503})
_RETRIES: Final = 2
_RETRY_SECONDS: Final = 10.0

Origin = tuple[str, bytes, int | None]


class WixAuth(httpx.Auth):
    """Names the token for a call; waits where Wix says so; takes another token on a 401."""

    def __init__(
        self,
        origin: Origin,
        tokens: Tokens,
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
        _refuse_foreign_authorization(request)
        instance_id = (await self._caller.identify()).instance_id
        await self._ready()
        patience = _Patience()
        renewed = False
        token = await self._tokens.get(instance_id)
        while True:
            response = yield _with_token(request, token)
            if origin_of(response.request.url) != self._origin:
                return
            if response.status_code == 401 and not renewed:
                renewed = True
                # Read, so that its connection is free while we wait.
                await response.aread()
                token = await self._tokens.renew(instance_id, token)
                if not _is_repeatable(request):
                    return
            elif not await patience.wait_for(request, response):
                return


class Guard(httpx.AsyncBaseTransport):
    """Attaches the token where the call really goes to Wix; shares the pool, never closes it."""

    def __init__(self, origin: Origin, transport: httpx.AsyncBaseTransport) -> None:
        """Send through `transport`, which outlives this."""
        self._origin = origin
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one hop; raises what the transport raises."""
        token: AccessToken | None = request.extensions.get(_TOKEN)
        if token is not None:
            _attach(request, token, at_wix=origin_of(request.url) == self._origin)
        response = await self._transport.handle_async_request(request)
        limit: int | None = request.extensions.get(MAX_BODY)
        return response if limit is None else _bounded(response, limit)


class _BoundedStream(httpx.AsyncByteStream):
    """A body that ends with an error once nothing is `left`; what is packed counts unpacked."""

    def __init__(self, stream: httpx.AsyncByteStream, limit: int, *, is_packed: bool) -> None:
        self._stream = stream
        self._is_packed = is_packed
        self.left = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            if not self._is_packed:
                self.left -= len(chunk)
            if self.left < 0:
                raise ResponseTooLarge
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Packed(httpx.Response):
    """An answer that is bounded by what it unpacks to."""

    _body: _BoundedStream

    async def aiter_bytes(self, chunk_size: int | None = None) -> AsyncIterator[bytes]:
        async for chunk in super().aiter_bytes(chunk_size):
            self._body.left -= len(chunk)
            if self._body.left >= 0:
                yield chunk
        # Raised here after the last chunk only: else by the body, so that every iterator ends.
        if self._body.left < 0:
            raise ResponseTooLarge


def _bounded(response: httpx.Response, limit: int) -> httpx.Response:
    is_packed = "Content-Encoding" in response.headers
    stream = cast("httpx.AsyncByteStream", response.stream)
    body = _BoundedStream(stream, limit, is_packed=is_packed)
    if not is_packed:
        response.stream = body
        return response
    packed = _Packed(
        response.status_code,
        headers=response.headers,
        stream=body,
        extensions=response.extensions,
    )
    packed._body = body
    return packed


class _Patience:
    """How long one call waits for Wix to take it: twice, and ten seconds in all."""

    def __init__(self) -> None:
        self._retries = _RETRIES
        self._seconds = _RETRY_SECONDS

    async def wait_for(self, request: httpx.Request, response: httpx.Response) -> bool:
        """Wait as long as the answer asks for; False where it does not, or asks for too much."""
        if response.status_code not in _BUSY or request.method not in _IDEMPOTENT:
            return False
        seconds = retry_after(response.headers)
        if seconds is None or not _is_repeatable(request):
            return False
        self._retries -= 1
        self._seconds -= seconds
        if self._retries < 0 or self._seconds < 0:
            return False
        await response.aread()
        await anyio.sleep(seconds)
        return True


def origin_of(url: httpx.URL) -> Origin:
    """Return what is dialled for `url`; the port is None where it is the scheme's own."""
    return url.scheme, url.raw_host, url.port


def _refuse_foreign_authorization(request: httpx.Request) -> None:
    # A request that is sent a second time still has what we gave it the first time.
    ours: AccessToken | None = request.extensions.get(_TOKEN)
    given = request.headers.get("Authorization")
    if given is not None and (ours is None or given != ours.value):
        raise AuthorizationConflict


def _is_repeatable(request: httpx.Request) -> bool:
    return isinstance(request.stream, httpx.ByteStream)


def _with_token(request: httpx.Request, token: AccessToken) -> httpx.Request:
    # That of the try before must not go along where a hook leads this one elsewhere.
    request.headers.pop("Authorization", None)
    request.extensions = {**request.extensions, _TOKEN: token}
    return request


def _attach(request: httpx.Request, token: AccessToken, *, at_wix: bool) -> None:
    if at_wix:
        # Without "Bearer", as Wix wants it.
        request.headers["Authorization"] = token.value
    elif request.headers.get("Authorization") == token.value:
        del request.headers["Authorization"]
