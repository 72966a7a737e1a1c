"""The calls to Wix's token endpoints: sent with bounds, repeated where that is safe."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar, cast

import anyio
import stamina
from anyio.lowlevel import checkpoint

from wix_asgi._frames import without_frames
from wix_asgi._http import httpx
from wix_asgi.errors import WixUnavailable
from wix_asgi.models import AccessToken, Grant
from wix_asgi.oauth._retry_log import RetryLog
from wix_asgi.oauth.retry_budget import RetryBudget
from wix_asgi.oauth.throttle import FailureThrottle
from wix_asgi.protocol.app_instance import AppInstance, parse_app_instance
from wix_asgi.protocol.endpoints import (
    Endpoints,
    check_event,
    parse_client_credentials,
    parse_grant,
)
from wix_asgi.protocol.token_info import TokenInfo, parse_token_info
from wix_asgi.reporting.one_line import describe_failure
from wix_asgi.transport.bodies import split_body

__all__ = ["OAuthClient", "OAuthPolicy"]

T = TypeVar("T")


class _ParseGrant(Protocol):
    def __call__(self, response: httpx.Response, *, requested_at: float) -> Grant: ...


_KEPT_HEADERS: Final = frozenset({b"retry-after", b"x-wix-request-id"})
# Raised before a byte of the request was sent.
_UNSENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthPolicy:
    """The bounds and repeats of a call to a token endpoint; durations are seconds."""

    connect_seconds: float = 5.0
    read_seconds: float = 10.0
    """One step of one request: a connection, or a read, a write, a wait for the pool.

    Wix answers a refresh in well under a second; ten are a hang.
    """

    total_seconds: float = 15.0
    """One request from its first byte to its last, and also the time in which it is repeated.

    Within the 20 s in which callers wait for a new token while theirs still lives.
    """

    max_tries: int = 3
    """Tries of a request that may be repeated: two failures in a row are passing, three are not."""

    backoff: float = 0.5
    """The pause after the first failure is at most twice this, and doubles with each failure.

    Full jitter: any part of it, by chance, so that calls that failed together come back apart.
    """

    max_retry_after: float = 5.0
    """The longest Retry-After that is waited out here: half of a caller's patience (10 s).

    A longer one is stored as a verdict, or told to the caller.
    """

    max_answer_bytes: int = 256 * 1024
    """The longest answer, packed and unpacked; tokens and refusals are a few kilobytes."""

    min_retry_after: float = 0.05
    """A Retry-After of 0 seconds is no invitation to a tight loop."""


class OAuthClient:
    """Speaks to the token endpoints, past cookies, redirects and logs; safe to share."""

    def __init__(
        self,
        endpoints: Endpoints,
        transport: httpx.AsyncBaseTransport,
        *,
        policy: OAuthPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
        throttle: FailureThrottle | None = None,
    ) -> None:
        """Send through `transport`, which stays the caller's to close.

        `clock` gives monotonic seconds, and `jitter` 0 to 1.
        """
        self._endpoints = endpoints
        self._transport = transport
        self._policy = policy or OAuthPolicy()
        self._clock = clock
        self._jitter = jitter
        self._throttle = throttle or FailureThrottle(clock=clock)
        self._retry_budget = RetryBudget()
        self._retry_log = RetryLog(clock=clock)
        self._retrying = stamina.AsyncRetryingCaller(
            attempts=self._policy.max_tries, timeout=self._policy.total_seconds
        )
        read = self._policy.read_seconds
        self._timeout = httpx.Timeout(read, connect=self._policy.connect_seconds).as_dict()

    @property
    def longest_call(self) -> float:
        """How many seconds one request may be at Wix, until it is given up."""
        return self._policy.total_seconds

    @property
    def is_failing(self) -> bool:
        """Whether a call has failed in the last minute."""
        return self._throttle.is_on

    @property
    def is_crowded(self) -> bool:
        """Whether Wix is failing, and its calls queue for longer than a further one may wait."""
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
        return await self._request_grant(request, self._retry_unsent)

    async def refresh(
        self,
        refresh_token: str,
        *,
        before_sending: Callable[[], Awaitable[None]] = checkpoint,
    ) -> Grant:
        """Have Wix grant a new access token; `before_sending` is awaited before each try.

        Raises:
            Exception: The error of `before_sending`. Nothing is sent then.
            GrantRefused: Wix refuses the refresh token.
            WixMisconfigured: Wix refuses the app's credentials.
            WixUnavailable: Wix is failing.
        """
        request = self._endpoints.refresh(refresh_token)
        del refresh_token
        return await self._request_grant(request, self._retry_transient, before_sending)

    async def client_credentials(
        self,
        instance_id: str,
        *,
        before_sending: Callable[[], Awaitable[None]] = checkpoint,
    ) -> Grant:
        """Have Wix grant an access token for this installation, by the app's own credentials.

        It may be repeated: no such token ends an earlier one. `before_sending` is awaited before
        each try.

        Raises:
            Exception: The error of `before_sending`. Nothing is sent then.
            GrantRefused: The app is not installed there.
            WixMisconfigured: Wix refuses the app's credentials.
            WixUnavailable: Wix is failing.
        """
        return await self._request_grant(
            self._endpoints.client_credentials(instance_id),
            self._retry_transient,
            before_sending,
            parse=parse_client_credentials,
        )

    async def app_instance(self, token: AccessToken) -> AppInstance | None:
        """Ask Wix for the installation and the site of this token (Get App Instance).

        Returns:
            None where the app lacks the permission for it.

        Raises:
            GrantRefused: Wix refuses it for another reason.
            WixUnavailable: Wix is failing.
        """
        request = self._endpoints.app_instance(token.value)

        async def ask() -> AppInstance | None:
            return parse_app_instance(await self._send(request))

        return await self._with_retries(self._retry_transient, ask)

    async def token_info(self, token: str) -> TokenInfo:
        """Ask Wix for which app and site this token is.

        Raises:
            WixUnavailable: Wix is failing.
        """
        request = self._endpoints.token_info(token)
        del token
        return await self.ask(request, parse_token_info)

    async def ask(self, request: httpx.Request, parse: Callable[[httpx.Response], T]) -> T:
        """Send a question that may be repeated, and return its answer as `parse` reads it.

        Raises:
            WixUnavailable: Wix is failing.
            WixError: The errors of `parse`.
        """

        async def ask() -> T:
            return parse(await self._send(request))

        return await self._with_retries(self._retry_transient, ask)

    async def send_event(self, token: AccessToken, name: str) -> None:
        """Send a BI event, once.

        Raises:
            GrantRefused: Wix refuses it.
            WixUnavailable: Wix is failing; whether the event was taken is not known.
        """
        check_event(await self._send(self._endpoints.event(token.value, name)))

    async def _request_grant(
        self,
        request: httpx.Request,
        retry: Callable[[Exception], float | None],
        before_sending: Callable[[], Awaitable[None]] = checkpoint,
        *,
        parse: _ParseGrant = parse_grant,
    ) -> Grant:
        async def ask() -> Grant:
            await before_sending()
            requested_at = self._clock()
            return parse(await self._send(request), requested_at=requested_at)

        return await self._with_retries(retry, ask)

    async def _with_retries(
        self, retry: Callable[[Exception], float | None], ask: Callable[[], Awaitable[T]]
    ) -> T:
        """Ask, throttled, and again after the seconds that `retry` returns, within the budget."""
        tries = 0
        failure: Exception | None = None

        async def ask_throttled() -> T:
            nonlocal tries
            self._retry_log.end_pause()
            if failure is not None:
                self._retry_log.note(failure, tries)
            tries += 1
            self._retry_budget.note_call()
            if not await self._throttle.acquire():
                raise WixUnavailable("Too many calls wait for Wix already.", unsent=True)
            try:
                return await ask()
            except WixUnavailable:
                self._throttle.note_failure()
                raise

        def pause_before_retry(exc: Exception) -> bool | float:
            nonlocal failure
            # Called after the last try as well, which must spend no retry.
            pause = retry(exc) if tries < self._policy.max_tries else None
            if pause is None or not self._retry_budget.spend():
                return False
            failure = exc
            self._retry_log.begin_pause()
            return pause or self._jitter() * self._policy.backoff * 2**tries

        try:
            return await self._retrying(pause_before_retry, ask_throttled)
        finally:
            failure = None  # or it is in a circle with its own traceback
            self._retry_log.end_pause()

    def _retry_transient(self, exc: Exception) -> float | None:
        """Return the pause before a retry: Wix's, or 0 for our own backoff; None for no retry."""
        if not isinstance(exc, WixUnavailable):
            return None
        if exc.asked is None:
            return 0.0
        if exc.asked > self._policy.max_retry_after:
            return None
        return max(exc.asked, self._policy.min_retry_after)

    def _retry_unsent(self, exc: Exception) -> float | None:
        """Return 0, for our own backoff, if no byte of the request was sent; else None."""
        return 0.0 if isinstance(exc, WixUnavailable) and exc.unsent else None

    async def _send(self, request: httpx.Request) -> httpx.Response:
        request.extensions = {**request.extensions, "timeout": self._timeout}
        try:
            with anyio.fail_after(self._policy.total_seconds):
                response = await self._transport.handle_async_request(request)
                return await _read_limited(response, self._policy.max_answer_bytes)
        except _UNSENT as exc:
            said = f"Wix cannot be reached ({describe_failure(exc)})."
            raise WixUnavailable(said, unsent=True) from without_frames(exc)
        except (httpx.HTTPError, httpx.StreamError) as exc:
            said = f"The answer of Wix was lost ({describe_failure(exc)})."
            raise WixUnavailable(said) from without_frames(exc)
        except TimeoutError as exc:
            said = f"Wix did not answer within {self._policy.total_seconds:g} s."
            raise WixUnavailable(said) from without_frames(exc)


async def _read_limited(response: httpx.Response, max_bytes: int) -> httpx.Response:
    raw = bytearray()
    try:
        # Not aiter_raw(): an async generator that is left half-way outlives this on trio.
        async for chunk in cast("httpx.AsyncByteStream", response.stream):
            raw += chunk
            _check_size(raw, max_bytes)
    finally:
        await response.aclose()
    headers = [pair for pair in response.headers.raw if pair[0].lower() in _KEPT_HEADERS]
    content = _unpack(bytes(raw), response.headers, max_bytes)
    return httpx.Response(response.status_code, headers=headers, content=content)


def _unpack(raw: bytes, headers: httpx.Headers, max_bytes: int) -> bytes:
    encoding = headers.get("Content-Encoding")
    if encoding is None:
        return raw
    packed = httpx.Response(
        200, headers={"Content-Encoding": encoding}, content=split_body(raw, headers)
    )
    content = bytearray()
    for chunk in packed.iter_bytes():
        content += chunk
        _check_size(content, max_bytes)
    return bytes(content)


def _check_size(content: bytearray, max_bytes: int) -> None:
    if len(content) > max_bytes:
        raise WixUnavailable("Wix answered far more than a token.")
