"""The client: an `httpx.AsyncClient` that is authenticated as one site."""

from __future__ import annotations

import math
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import anyio
from starlette.requests import HTTPConnection
from starlette.types import Scope

from wix_asgi._frames import without_our_frames
from wix_asgi._http import httpx
from wix_asgi.client._auth import RetryAfter, WixAuth, token_for
from wix_asgi.client._errors import error_of_call
from wix_asgi.client._late_client import LateClient
from wix_asgi.client._limits import ReadLimits
from wix_asgi.client._quick_client import QuickClient, with_defaults
from wix_asgi.client._token_transport import TokenTransport, copy_without_token
from wix_asgi.client.policy import CallPolicy
from wix_asgi.errors import MiddlewareMissing
from wix_asgi.identity.callers import (
    Address,
    Caller,
    Headers,
    KnownCaller,
    RequestCaller,
    ResolveIdentity,
    caller_of_proof,
)
from wix_asgi.identity.signed_callers import SignedCallers
from wix_asgi.models import Identity
from wix_asgi.pages.pages import Pages
from wix_asgi.protocol.headers import HEADERS
from wix_asgi.transport.origins import origin_of

if TYPE_CHECKING:
    from wix_asgi.identity.session import Sessions
    from wix_asgi.identity.token_callers import TokenCallers
    from wix_asgi.tokens.cache import TokenCache

__all__ = ["STATE_KEY", "ClientFactory", "WixClient", "get_wix", "limited_copy"]

STATE_KEY: Final = "wix"
"""The key of `scope["state"]` that holds the client, so that it is `request.state.wix`."""

_TOO_LARGE: Final = "A redirect or refusal on the way to the answer is larger than may be read."


class WixClient(LateClient, QuickClient):
    """An `httpx.AsyncClient` for one site: `request.state.wix`, or `wix.client(instance_id)`.

    Its `base_url` is Wix's API. Built on first use: an unused one costs about a microsecond.
    The connection pool is shared by the process and outlives it; cookies are its own. Redirects
    are not followed unless asked for. An answer that is read whole is limited to 10 MB and, under
    the default timeouts, to 30 seconds, with the redirects and refusals that are read before it;
    the body of an answer that `stream()` hands over is limited by neither.

    Using it raises, besides the errors of httpx:
        Unauthenticated: Nobody is known to be calling.
        NotInstalled: The app is not installed on the calling site.
        WixUnavailable, StorageUnavailable: No token can be had at the moment. Either is an
            `httpx.ConnectError` too.
        ResponseTooLarge: The answer is over 10 MB. It is an `httpx.RequestError` too.
        AuthorizationConflict: The call has an Authorization header of its own.
    """

    __slots__ = ("_made_of", "_placed_for")

    # The factory, then the request's query and headers; or the factory, a Caller and None.
    _made_of: tuple[ClientFactory, Any, Any]

    # The scope of its request; its headers once that is over. See `wix_asgi.client.request_state`.
    _placed_for: Any

    def _build_httpx_part(self) -> None:
        factory = self._made_of[0]
        QuickClient.__init__(
            self,
            base_url=factory.base_url,
            auth=factory.auth(self._caller),
            # One for each client: tracers wrap the transport of the client that they are given.
            transport=TokenTransport(factory.origin, factory.transport),
            timeout=factory.policy.timeout,
            trust_env=False,
        )
        self._sent = httpx.Headers(factory.headers)

    @property
    def _caller(self) -> Caller:
        factory, source, headers = self._made_of
        caller: Caller
        if headers is None:
            caller = source
        else:
            placed = self._placed_for
            # Its request is over where it is no scope: then nobody waits for fairness.
            address = placed.get("client") if isinstance(placed, dict) else None
            caller = factory.caller(source, headers, address=address)
        # The same for all uses of one request, so that a refusal is logged once.
        self._made_of = (factory, caller, None)
        return caller

    @property
    def identity(self) -> Identity | None:
        """The caller, as far as can be told without asking Wix; None for nobody."""
        return self._caller.identity

    async def identify(self) -> Identity:
        """Return the caller; Wix is asked whose an access token is, where that is not known.

        Raises:
            Unauthenticated: The request names no site, or names it by a forgery.
            WixUnavailable: Wix is to be asked, and is failing.
        """
        handled = sys.exception()
        try:
            return await self._caller.identify()
        except Exception as exc:
            # They hold the proofs that were refused.
            without_our_frames(exc, until=handled)
            raise

    async def send(
        self, request: httpx.Request, *, stream: bool = False, **options: Any
    ) -> httpx.Response:
        """Send `request` as httpx does; all that is read before it returns is limited.

        Raises:
            ResponseTooLarge: The answer is over 10 MB, or the answers before it.
            httpx.ReadTimeout: It took over 30 seconds, under the default timeouts.
        """
        policy = self._made_of[0].policy
        sent, limits, seconds = limited_copy(request, policy, self.timeout, is_stream=stream)
        handled = sys.exception()
        try:
            if stream or seconds == math.inf:
                response = await super().send(sent, stream=stream, **options)
            else:
                response = await self._send_within(seconds, sent, **options)
        except Exception as exc:
            if (error := error_of_call(exc, request, until=handled)) is None:
                raise
            raise error from exc.__cause__
        limits.lift()
        return response

    async def _send_within(
        self, seconds: float, request: httpx.Request, **options: Any
    ) -> httpx.Response:
        with anyio.move_on_after(seconds):
            return await super().send(request, **options)
        raise httpx.ReadTimeout(f"No whole answer within {seconds:.0f} s.", request=request)


def limited_copy(
    request: httpx.Request, policy: CallPolicy, timeout: httpx.Timeout, *, is_stream: bool
) -> tuple[httpx.Request, ReadLimits, float]:
    """Return a copy of `request` that carries its limits, the limits, and the call's seconds.

    It is a copy, since another client may send the same request meanwhile. `timeout` is the
    client's; under any but the default one a call has all the time.
    """
    given = request.extensions.get("timeout", timeout.as_dict())
    seconds = policy.total_seconds if given == policy.timeout.as_dict() else math.inf
    limits = ReadLimits(
        policy.max_bytes,
        seconds,
        unproductive=policy.max_unproductive_bytes,
        too_large=_TOO_LARGE if is_stream else None,
    )
    sent = copy_without_token(request)
    limits.hold_for(sent)
    return sent, limits, seconds


class ClientFactory:
    """Makes the clients of one app; lives with its `Wix`."""

    def __init__(
        self,
        *,
        api_url: str,
        transport: httpx.AsyncBaseTransport,
        tokens: TokenCache,
        signed: SignedCallers,
        access_tokens: TokenCallers | None = None,
        sessions: Sessions | None = None,
        resolve: ResolveIdentity | None = None,
        pages: Pages | None = None,
        ready: Callable[[], Awaitable[None]],
        policy: CallPolicy | None = None,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """Share `transport` and `tokens` among all clients; `resolve` is the app's own function.

        Without `access_tokens` no access token names a caller. `pages` are for refused callers.
        `ready` is awaited before each use of a token, and `sleep` where Wix asks for a wait.
        """
        # Its slash is what httpx would add in each client.
        self.base_url = httpx.URL(f"{api_url.rstrip('/')}/")
        self.origin = origin_of(self.base_url)
        # The unpacked size of Brotli and Zstandard, which httpx may know, cannot be limited.
        self.headers = with_defaults({**HEADERS, "Accept-Encoding": "gzip, deflate"})
        self.tokens = tokens
        self.ready = ready
        self.policy = policy or CallPolicy()
        self.transport = transport
        self.new_retry_after = partial(
            RetryAfter, self.policy.max_repeats, self.policy.max_wait_seconds, sleep
        )
        self.pages = pages
        self._signed = signed
        self._access_tokens = access_tokens
        self._sessions = sessions
        self._resolve = resolve
        self.for_request: Callable[[Scope], WixClient] = (
            self._resolving_client if resolve or sessions else _quick_maker(self)
        )
        """Returns the client of the caller that sends the request of a scope.

        Made for each request, so it is a plain function where the app has no `resolve` and no
        sessions.
        """

    def auth(self, caller: Caller) -> WixAuth:
        """Return what authenticates the calls of one client, as `caller`."""
        return WixAuth(
            self.origin,
            self.tokens,
            caller,
            ready=self.ready,
            new_retry_after=self.new_retry_after,
        )

    def caller(
        self,
        query: bytes,
        headers: Headers,
        *,
        address: Address = None,
        scope: Scope | None = None,
    ) -> Caller:
        """Return the caller that sends a request with this query and these headers."""
        session = self._sessions.of(scope) if self._sessions and scope else None
        # Only for `resolve`: the caller would hold the scope, which holds the client.
        scope = scope if self._resolve else None
        return RequestCaller(
            self._signed,
            query,
            headers,
            tokens=self._access_tokens,
            address=address,
            session=session,
            resolve=self._resolve,
            scope=scope,
        )

    def caller_of_proof(self, value: str) -> Caller:
        """Return the caller whom a signed instance or an access token of Wix names."""
        return caller_of_proof(value, self._signed, tokens=self._access_tokens)

    async def admit(self, client: WixClient) -> None:
        """Let the caller of `client` pass if a call would be sent for it now.

        Raises:
            Exception: The errors that a call raises before it is sent: `Unauthenticated`,
                `NotInstalled`, `WixUnavailable`, `StorageUnavailable` and others.
        """
        await token_for(client._caller, self.tokens, self.ready)

    def for_instance(self, instance_id: str) -> WixClient:
        """Return the client of this installation."""
        return _make((self, KnownCaller(instance_id), None))

    def _resolving_client(self, scope: Scope) -> WixClient:
        # `resolve` is called with the scope that the app gets, where the app's middlewares write
        # sessions and the like. It holds the client in turn: a cycle for the garbage collector.
        caller = self.caller(
            scope["query_string"], scope["headers"], address=scope.get("client"), scope=scope
        )
        return _make((self, caller, None), scope)


def _make(made_of: tuple[ClientFactory, Any, Any], scope: Scope | None = None) -> WixClient:
    client = WixClient()
    client._made_of = made_of
    client._placed_for = scope
    return client


def _quick_maker(factory: ClientFactory) -> Callable[[Scope], WixClient]:
    """Return a function that makes a client in the least time.

    The client holds the scope until the middleware has answered the request.
    """

    def for_request(scope: Scope) -> WixClient:
        client = WixClient()
        client._made_of = (factory, scope["query_string"], scope["headers"])
        client._placed_for = scope
        return client

    return for_request


def get_wix(connection: HTTPConnection) -> WixClient:
    """Return the client that `WixMiddleware` put on this request or websocket.

    Raises:
        MiddlewareMissing: There is no client; the message says how to add the middleware.
        TypeError: `connection` is neither a request nor a websocket.
    """
    scope = getattr(connection, "scope", None)
    if not isinstance(scope, Mapping):
        raise TypeError(
            "get_wix() takes the request or websocket that the app is answering, such as a "
            f"Request of Starlette or FastAPI; this is {type(connection).__name__!r}."
        )
    client = scope.get("state", {}).get(STATE_KEY)
    if not isinstance(client, WixClient):
        raise MiddlewareMissing(
            "WixMiddleware is not in front of this app. "
            "Write app = WixMiddleware(app), or app.add_middleware(WixMiddleware)."
        )
    return client
