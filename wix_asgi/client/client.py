"""The client: an `httpx.AsyncClient` that is authenticated as one site."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import anyio
from starlette.requests import HTTPConnection
from starlette.types import Scope

from wix_asgi._http import httpx
from wix_asgi.client._auth import ReadLimits, TokenTransport, WixAuth, copied
from wix_asgi.errors import MiddlewareMissing
from wix_asgi.identity.callers import Caller, Headers, KnownCaller, RequestCaller, ResolveIdentity
from wix_asgi.models import Identity
from wix_asgi.protocol.signed_instance import SignedInstances
from wix_asgi.tokens.cache import TokenCache
from wix_asgi.transport.origins import origin_of

__all__ = ["ClientFactory", "WixClient", "get_wix"]

STATE_KEY: Final = "wix"
TIMEOUT: Final = httpx.Timeout(connect=5, read=10, write=10, pool=30)
TOTAL_SECONDS: Final = 30.0
MAX_BYTES: Final = 10 * 1024 * 1024
_EXCESS: Final = "A redirect or refusal on the way to the answer is larger than may be read."


class WixClient(httpx.AsyncClient):
    """An `httpx.AsyncClient` for one site: `request.state.wix`, or `wix.client(instance_id)`.

    Its `base_url` is Wix's API. Built on first use: an unused one costs about a microsecond.
    The connection pool is shared by the process and outlives it; cookies are its own. Redirects
    are not followed unless asked for. An answer that is read whole is bounded to 10 MB and, under
    the default timeouts, to 30 seconds, with the redirects and refusals that are read before it;
    what `stream()` hands over is bounded by neither.

    Using it raises, besides what httpx raises:
        Unauthenticated: Nobody is known to be calling.
        NotInstalled: The app is not installed on the calling site.
        WixUnavailable, StorageUnavailable: No token can be had at the moment.
        AuthorizationConflict: The call has an Authorization header of its own.
    """

    __slots__ = ("_made_of",)

    # The factory, then the request's query and headers; or the factory, a Caller and None.
    _made_of: tuple[ClientFactory, Any, Any]

    # One of these is made for every request, and most are never used: no Python runs here, and
    # httpx's own __init__ is left to __getattr__.
    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__

    def __getattr__(self, name: str) -> Any:
        """Build the httpx part when something of it is asked for and missing."""
        if "_built" not in self.__dict__:
            self._build()
        # Raises the error of a property again, and that of an attribute that is not there.
        return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        return "<WixClient>"

    def __reduce__(self) -> Any:
        raise TypeError("A WixClient belongs to its process: pass the instance id instead.")

    def _build(self) -> None:
        set_early = dict(self.__dict__)
        self.__dict__["_built"] = True
        factory = self._made_of[0]
        super().__init__(
            base_url=factory.api_url,
            auth=WixAuth(factory.origin, factory.tokens, self._caller, factory.ready),
            # What else httpx may unpack cannot be bounded.
            headers={"Accept-Encoding": "gzip, deflate"},
            transport=factory.guard,
            timeout=TIMEOUT,
            trust_env=False,
        )
        self.__dict__.update(set_early)

    @property
    def _caller(self) -> Caller:
        factory, source, headers = self._made_of
        return source if headers is None else factory.caller(source, headers)

    @property
    def identity(self) -> Identity | None:
        """Who is calling, as far as can be told without asking Wix; None for nobody."""
        return self._caller.identity

    async def identify(self) -> Identity:
        """Return who is calling.

        Raises:
            Unauthenticated: Nobody, or a forgery.
        """
        return await self._caller.identify()

    async def send(
        self, request: httpx.Request, *, stream: bool = False, **options: Any
    ) -> httpx.Response:
        """Send `request`, as httpx does; within bounds what is read before it returns.

        Raises:
            ResponseTooLarge: The answer is over 10 MB, or what came before it.
            httpx.ReadTimeout: It took over 30 seconds, under the default timeouts.
        """
        timeout = request.extensions.get("timeout", self.timeout.as_dict())
        seconds = TOTAL_SECONDS if timeout == TIMEOUT.as_dict() else math.inf
        bound = ReadLimits(MAX_BYTES, seconds, _EXCESS if stream else None)
        # Another client may send the same one meanwhile.
        request = copied(request)
        bound.begin(request)
        if stream or seconds == math.inf:
            response = await super().send(request, stream=stream, **options)
        else:
            response = await self._send_within(seconds, request, **options)
        bound.lift()
        return response

    async def _send_within(
        self, seconds: float, request: httpx.Request, **options: Any
    ) -> httpx.Response:
        with anyio.move_on_after(seconds):
            return await super().send(request, **options)
        raise httpx.ReadTimeout(f"No whole answer within {seconds:.0f} s.", request=request)


class ClientFactory:
    """Makes the clients of one app; lives as long as its `Wix`."""

    def __init__(
        self,
        *,
        api_url: str,
        transport: httpx.AsyncBaseTransport,
        tokens: TokenCache,
        signed: SignedInstances,
        resolve: ResolveIdentity | None = None,
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        """Share `transport` and `tokens` among all clients; `resolve` is the app's own function.

        `ready` is awaited before each use of a token.
        """
        self.api_url = api_url
        self.origin = origin_of(httpx.URL(api_url))
        self.tokens = tokens
        self.ready = ready
        # It has no state, so one serves all clients.
        self.guard = TokenTransport(self.origin, transport)
        self._signed = signed
        self._resolve = resolve
        self.for_request: Callable[[Scope], WixClient] = (
            self._resolving_client if resolve else _quick_maker(self)
        )
        """Returns the client of whoever sends the request of a scope, which the app gets."""

    def caller(self, query: bytes, headers: Headers, scope: Scope | None = None) -> Caller:
        """Return whoever sends a request with this query and these headers."""
        return RequestCaller(self._signed, query, headers, resolve=self._resolve, scope=scope)

    def _resolving_client(self, scope: Scope) -> WixClient:
        # Asked with the scope that the app gets, in which its middlewares write what they know;
        # it holds the client in turn, which the garbage collector has to find out.
        caller = self.caller(scope["query_string"], scope["headers"], scope)
        return _make((self, caller, None))

    def for_instance(self, instance_id: str) -> WixClient:
        """Return the client of this installation."""
        return _make((self, KnownCaller(instance_id), None))


def _make(made_of: tuple[ClientFactory, Any, Any]) -> WixClient:
    client = WixClient()
    client._made_of = made_of
    return client


def _quick_maker(factory: ClientFactory) -> Callable[[Scope], WixClient]:
    """Return what makes a client of a scope in the least time: it holds no part of the scope."""

    def for_request(scope: Scope) -> WixClient:
        client = WixClient()
        client._made_of = (factory, scope["query_string"], scope["headers"])
        return client

    return for_request


def get_wix(connection: HTTPConnection) -> WixClient:
    """Return the client that `WixMiddleware` put on this request or websocket.

    Raises:
        MiddlewareMissing: It is not there; the message says how to add it.
    """
    client = connection.scope.get("state", {}).get(STATE_KEY)
    if not isinstance(client, WixClient):
        raise MiddlewareMissing(
            "WixMiddleware is not in front of this app. "
            "Write app = WixMiddleware(app), or app.add_middleware(WixMiddleware)."
        )
    return client
