"""The calls to Wix's token endpoints: sent with bounds, repeated where that is safe."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, cast

import anyio
import stamina

from wix_asgi._http import httpx
from wix_asgi.endpoints import (
    Endpoints,
    Grant,
    TokenInfo,
    check_event,
    parse_grant,
    parse_token_info,
)
from wix_asgi.errors import WixUnavailable
from wix_asgi.models import AccessToken

__all__ = ["OAuth"]

_TIMEOUT: Final = httpx.Timeout(connect=5, read=10, write=10, pool=10).as_dict()
_TOTAL_SECONDS: Final = 15.0
_MAX_ANSWER: Final = 256 * 1024
_PIECE: Final = 1024
_MAX_PATIENCE: Final = 5.0
_KEPT_HEADERS: Final = frozenset({"retry-after", "x-wix-request-id"})
# Raised before a byte of the request was sent.
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

_repeat: Final = stamina.AsyncRetryingCaller(
    attempts=3, timeout=_TOTAL_SECONDS, wait_initial=0.25, wait_max=2.0
)


class OAuth:
    """Speaks to the token endpoints, past cookies, redirects and logs; safe to share."""

    def __init__(
        self,
        endpoints: Endpoints,
        transport: httpx.AsyncBaseTransport,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send through `transport`, which stays the caller's; `clock` gives monotonic seconds."""
        self._endpoints = endpoints
        self._transport = transport
        self._clock = clock

    async def exchange(self, code: str) -> tuple[Grant, AccessToken]:
        """Exchange an authorization code, once: repeated only when nothing was sent.

        Raises:
            GrantRefused: Wix refuses the code.
            WixMisconfigured: Wix refuses the app's credentials.
            WixUnavailable: No answer, or none that makes sense; `unsent` tells the code's fate.
        """
        request = self._endpoints.exchange(code)
        del code  # a traceback with locals shows no secret
        return await self._granted(request, _retry_unsent)

    async def refresh(self, refresh_token: str) -> tuple[Grant, AccessToken]:
        """Take a new access token, with at most three tries.

        Raises:
            GrantRefused: Wix refuses the refresh token.
            WixMisconfigured: Wix refuses the app's credentials.
            WixUnavailable: Wix is failing.
        """
        request = self._endpoints.refresh(refresh_token)
        del refresh_token
        return await self._granted(request, _retry_transient)

    async def token_info(self, token: str) -> TokenInfo:
        """Ask Wix whose token this is.

        Raises:
            WixUnavailable: Wix is failing.
        """
        request = self._endpoints.token_info(token)
        del token

        async def ask() -> TokenInfo:
            return parse_token_info(await self._send(request))

        return await _repeat(_retry_transient, ask)

    async def send_event(self, token: AccessToken, name: str) -> None:
        """Send a BI event, once.

        Raises:
            GrantRefused: Wix refuses it.
            WixUnavailable: Wix is failing; whether the event was taken is not known.
        """
        check_event(await self._send(self._endpoints.event(token.value, name)))

    async def _granted(
        self, request: httpx.Request, retry: Callable[[Exception], bool | float]
    ) -> tuple[Grant, AccessToken]:
        async def ask() -> tuple[Grant, AccessToken]:
            began = self._clock()
            grant = parse_grant(await self._send(request))
            token = AccessToken(grant.access_token, grant.lifetime, began + grant.lifetime)
            return grant, token

        return await _repeat(retry, ask)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "timeout": _TIMEOUT}
        try:
            with anyio.fail_after(_TOTAL_SECONDS):
                response = await self._transport.handle_async_request(request)
                return await _read_bounded(response)
        except _UNSENT as exc:
            raise WixUnavailable("Wix cannot be reached.", unsent=True) from _without_frames(exc)
        except (httpx.HTTPError, httpx.StreamError, TimeoutError) as exc:
            raise WixUnavailable("The answer of Wix was lost.") from _without_frames(exc)


async def _read_bounded(response: httpx.Response) -> httpx.Response:
    raw = bytearray()
    try:
        # Not aiter_raw(): an async generator that is left half-way outlives this on trio.
        async for chunk in cast("httpx.AsyncByteStream", response.stream):
            raw += chunk
            _check_size(raw)
    finally:
        await response.aclose()
    headers = {name: value for name, value in response.headers.items() if name in _KEPT_HEADERS}
    content = _unpack(bytes(raw), response.headers.get("Content-Encoding", ""))
    return httpx.Response(response.status_code, headers=headers, content=content)


def _unpack(raw: bytes, encoding: str) -> bytes:
    """Undo an encoding, in pieces: what is small may unpack to what is not."""
    pieces = (raw[at : at + _PIECE] for at in range(0, len(raw), _PIECE))
    packed = httpx.Response(200, headers={"Content-Encoding": encoding}, content=pieces)
    content = bytearray()
    for chunk in packed.iter_bytes():
        content += chunk
        _check_size(content)
    return bytes(content)


def _check_size(content: bytearray) -> None:
    if len(content) > _MAX_ANSWER:
        raise WixUnavailable("Wix answered far more than a token.")


def _without_frames(exc: BaseException) -> BaseException:
    """Return `exc` with what it says and without its frames, in which the request's body is."""
    seen: BaseException | None = exc
    while seen is not None:
        seen.__traceback__ = None
        seen = seen.__cause__ or seen.__context__
    return exc


def _retry_transient(exc: Exception) -> bool | float:
    if not isinstance(exc, WixUnavailable):
        return False
    # What Wix asks for beyond our patience is the caller's to wait.
    return exc.asked is None or (exc.asked <= _MAX_PATIENCE and max(exc.asked, 0.05))


def _retry_unsent(exc: Exception) -> bool | float:
    return isinstance(exc, WixUnavailable) and exc.unsent
