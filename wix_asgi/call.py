"""What happens to a call on its way to Wix: the token is named, attached, and taken anew.

The token is attached at the last moment, by the URL that is really dialled, and only to the API's
own origin: no absolute URL, redirect or event hook can take it elsewhere.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Final

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
            if not self._may_repeat(request, response):
                return
            # Read, so that its connection is free while we wait.
            await response.aread()
            if response.status_code == 401 and not renewed:
                renewed = True
                token = await self._tokens.renew(instance_id, token)
            elif not await patience.wait_for(request, response):
                return

    def _may_repeat(self, request: httpx.Request, response: httpx.Response) -> bool:
        return (
            response.status_code in {401, 429, 503}
            and origin_of(response.request.url) == self._origin
            and isinstance(request.stream, httpx.ByteStream)
        )


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
        if limit is not None and isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Bounded(response.stream, limit)
        return response


class _Bounded(httpx.AsyncByteStream):
    """The body of an answer, up to a number of bytes as they come over the wire."""

    def __init__(self, stream: httpx.AsyncByteStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._limit
        async for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise ResponseTooLarge
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Patience:
    """How long one call waits for Wix to take it: twice, and ten seconds in all."""

    def __init__(self) -> None:
        self._retries = _RETRIES
        self._seconds = _RETRY_SECONDS

    async def wait_for(self, request: httpx.Request, response: httpx.Response) -> bool:
        """Wait as long as the answer asks for; False where it does not, or asks for too much."""
        seconds = retry_after(response.headers)
        if request.method not in _IDEMPOTENT or response.status_code == 401 or seconds is None:
            return False
        self._retries -= 1
        self._seconds -= seconds
        if self._retries < 0 or self._seconds < 0:
            return False
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


def _with_token(request: httpx.Request, token: AccessToken) -> httpx.Request:
    request.extensions = {**request.extensions, _TOKEN: token}
    return request


def _attach(request: httpx.Request, token: AccessToken, *, at_wix: bool) -> None:
    if at_wix:
        # Without "Bearer", as Wix wants it.
        request.headers["Authorization"] = token.value
    elif request.headers.get("Authorization") == token.value:
        del request.headers["Authorization"]
