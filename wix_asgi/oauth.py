"""The calls to Wix's token endpoints: sent with bounds, repeated where that is safe."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

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

T = TypeVar("T")

_TIMEOUT: Final = httpx.Timeout(connect=5, read=10, write=10, pool=10).as_dict()
_TOTAL_SECONDS: Final = 15.0
_MAX_ANSWER: Final = 256 * 1024
_MAX_PATIENCE: Final = 5.0
# Raised before a byte of the request was sent.
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


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
        return await self._granted(lambda: self._endpoints.exchange(code), _retry_unsent)

    async def refresh(self, refresh_token: str) -> tuple[Grant, AccessToken]:
        """Take a new access token, with at most three tries.

        Raises:
            GrantRefused: Wix refuses the refresh token.
            WixMisconfigured: Wix refuses the app's credentials.
            WixUnavailable: Wix is failing.
        """
        return await self._granted(lambda: self._endpoints.refresh(refresh_token), _retry_transient)

    async def token_info(self, token: str) -> TokenInfo:
        """Ask Wix whose token this is.

        Raises:
            WixUnavailable: Wix is failing.
        """

        async def ask() -> TokenInfo:
            return parse_token_info(await self._send(self._endpoints.token_info(token)))

        return await _repeat(ask, _retry_transient)

    async def send_event(self, token: AccessToken, name: str) -> None:
        """Send a BI event, once.

        Raises:
            GrantRefused: Wix refuses it.
            WixUnavailable: Wix is failing; whether the event was taken is not known.
        """
        check_event(await self._send(self._endpoints.event(token.value, name)))

    async def _granted(
        self, build: Callable[[], httpx.Request], retry: Callable[[Exception], bool | float]
    ) -> tuple[Grant, AccessToken]:
        async def ask() -> tuple[Grant, AccessToken]:
            began = self._clock()
            grant = parse_grant(await self._send(build()))
            token = AccessToken(grant.access_token, grant.lifetime, began + grant.lifetime)
            return grant, token

        return await _repeat(ask, retry)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "timeout": _TIMEOUT}
        try:
            with anyio.fail_after(_TOTAL_SECONDS):
                response = await self._transport.handle_async_request(request)
                return await _read_bounded(response)
        except _UNSENT as exc:
            raise WixUnavailable("Wix cannot be reached.", unsent=True) from exc
        except (httpx.HTTPError, httpx.StreamError, TimeoutError) as exc:
            raise WixUnavailable("The answer of Wix was lost.") from exc


async def _read_bounded(response: httpx.Response) -> httpx.Response:
    content = bytearray()
    try:
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > _MAX_ANSWER:
                raise WixUnavailable("Wix answered far more than a token.")
    finally:
        await response.aclose()
    headers = response.headers
    return httpx.Response(response.status_code, headers=headers, content=bytes(content))


async def _repeat(ask: Callable[[], Awaitable[T]], retry: Callable[[Exception], bool | float]) -> T:
    attempts = stamina.retry_context(
        on=retry, attempts=3, timeout=_TOTAL_SECONDS, wait_initial=0.25, wait_max=2.0
    )
    async for attempt in attempts:
        with attempt:
            return await ask()
    raise AssertionError("stamina yields until an attempt returns or raises")


def _retry_transient(exc: Exception) -> bool | float:
    if not isinstance(exc, WixUnavailable):
        return False
    # What Wix asks for beyond our patience is the caller's to wait.
    return exc.asked is None or (exc.asked <= _MAX_PATIENCE and max(exc.asked, 0.05))


def _retry_unsent(exc: Exception) -> bool | float:
    return isinstance(exc, WixUnavailable) and exc.unsent
