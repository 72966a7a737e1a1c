"""The calls to Wix's token endpoints: sent with bounds, repeated where that is safe."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, cast

import anyio
import stamina

from wix_asgi._http import httpx
from wix_asgi.errors import WixUnavailable, without_frames
from wix_asgi.models import AccessToken, Grant
from wix_asgi.oauth.throttle import FailureThrottle
from wix_asgi.protocol.endpoints import (
    Endpoints,
    TokenInfo,
    check_event,
    parse_grant,
    parse_token_info,
)
from wix_asgi.transport.bodies import split_body

__all__ = ["OAuthClient"]

T = TypeVar("T")

_TIMEOUT: Final = httpx.Timeout(connect=5, read=10, write=10, pool=10).as_dict()
_TOTAL_SECONDS: Final = 15.0
_TRIES: Final = 3
_MAX_ANSWER: Final = 256 * 1024
_MAX_PATIENCE: Final = 5.0
_KEPT_HEADERS: Final = frozenset({"retry-after", "x-wix-request-id"})
# Raised before a byte of the request was sent.
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)

_BACKOFF: Final = 0.5

_repeat: Final = stamina.AsyncRetryingCaller(attempts=_TRIES, timeout=_TOTAL_SECONDS)


class OAuthClient:
    """Speaks to the token endpoints, past cookies, redirects and logs; safe to share."""

    def __init__(
        self,
        endpoints: Endpoints,
        transport: httpx.AsyncBaseTransport,
        *,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        throttle: FailureThrottle | None = None,
    ) -> None:
        """Send through `transport`, which stays the caller's.

        `clock` gives monotonic seconds, and `jitter` 0 to 1.
        """
        self._endpoints = endpoints
        self._transport = transport
        self._clock = clock
        self._jitter = jitter
        self._throttle = throttle or FailureThrottle(clock=clock)

    @property
    def is_failing(self) -> bool:
        """Whether a call has failed in the last minute."""
        return self._throttle.is_on

    @property
    def is_crowded(self) -> bool:
        """Whether Wix is failing and so many calls wait for their turn that another is no use."""
        return self._throttle.is_crowded

    async def exchange(self, code: str) -> Grant:
        """Exchange an authorization code, once: repeated only when nothing was sent.

        Raises:
            GrantRefused: Wix refuses the code.
            WixMisconfigured: Wix refuses the app's credentials.
            WixUnavailable: No answer, or none that makes sense; `unsent` tells the code's fate.
        """
        request = self._endpoints.exchange(code)
        del code  # a traceback with locals shows no secret
        return await self._granted(request, _retry_unsent)

    async def refresh(
        self, refresh_token: str, *, before_sending: Callable[[], None] = lambda: None
    ) -> Grant:
        """Take a new access token, with at most three tries; `before_sending` is called in each.

        Raises:
            Exception: What `before_sending` raises. Nothing is sent then.
            GrantRefused: Wix refuses the refresh token.
            WixMisconfigured: Wix refuses the app's credentials.
            WixUnavailable: Wix is failing.
        """
        request = self._endpoints.refresh(refresh_token)
        del refresh_token
        return await self._granted(request, _retry_transient, before_sending)

    async def token_info(self, token: str) -> TokenInfo:
        """Ask Wix whose token this is.

        Raises:
            WixUnavailable: Wix is failing.
        """
        request = self._endpoints.token_info(token)
        del token

        async def ask() -> TokenInfo:
            return parse_token_info(await self._send(request))

        return await self._repeated(_retry_transient, ask)

    async def send_event(self, token: AccessToken, name: str) -> None:
        """Send a BI event, once.

        Raises:
            GrantRefused: Wix refuses it.
            WixUnavailable: Wix is failing; whether the event was taken is not known.
        """
        check_event(await self._send(self._endpoints.event(token.value, name)))

    async def _granted(
        self,
        request: httpx.Request,
        retry: Callable[[Exception], bool | float],
        before_sending: Callable[[], None] = lambda: None,
    ) -> Grant:
        async def ask() -> Grant:
            before_sending()
            requested_at = self._clock()
            return parse_grant(await self._send(request), requested_at=requested_at)

        return await self._repeated(retry, ask)

    async def _repeated(
        self, retry: Callable[[Exception], bool | float], ask: Callable[[], Awaitable[T]]
    ) -> T:
        """Ask in turn, and again where `retry` says so, while the budget for that lasts."""
        tries = 0

        async def ask_in_turn() -> T:
            nonlocal tries
            tries += 1
            if not await self._throttle.acquire():
                raise WixUnavailable("Too many calls wait for Wix already.", unsent=True)
            try:
                return await ask()
            except WixUnavailable:
                self._throttle.note_failure()
                raise

        def may_repeat(exc: Exception) -> bool | float:
            # It is asked after the last try as well, which must cost no repeat.
            wanted = tries < _TRIES and retry(exc)
            if wanted is False or not self._throttle.may_repeat():
                return False
            # Full jitter: what failed at one moment does not come back at another.
            return self._jitter() * _BACKOFF * 2**tries if wanted is True else wanted

        return await _repeat(may_repeat, ask_in_turn)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "timeout": _TIMEOUT}
        try:
            with anyio.fail_after(_TOTAL_SECONDS):
                response = await self._transport.handle_async_request(request)
                return await _read_bounded(response)
        except _UNSENT as exc:
            raise WixUnavailable("Wix cannot be reached.", unsent=True) from without_frames(exc)
        except (httpx.HTTPError, httpx.StreamError, TimeoutError) as exc:
            raise WixUnavailable("The answer of Wix was lost.") from without_frames(exc)


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
    content = _unpack(bytes(raw), response.headers)
    return httpx.Response(response.status_code, headers=headers, content=content)


def _unpack(raw: bytes, headers: httpx.Headers) -> bytes:
    encoding = {"Content-Encoding": headers.get("Content-Encoding", "")}
    packed = httpx.Response(200, headers=encoding, content=split_body(raw, headers))
    content = bytearray()
    for chunk in packed.iter_bytes():
        content += chunk
        _check_size(content)
    return bytes(content)


def _check_size(content: bytearray) -> None:
    if len(content) > _MAX_ANSWER:
        raise WixUnavailable("Wix answered far more than a token.")


def _retry_transient(exc: Exception) -> bool | float:
    if not isinstance(exc, WixUnavailable):
        return False
    # What Wix asks for beyond our patience is the caller's to wait.
    return exc.asked is None or (exc.asked <= _MAX_PATIENCE and max(exc.asked, 0.05))


def _retry_unsent(exc: Exception) -> bool | float:
    return isinstance(exc, WixUnavailable) and exc.unsent
