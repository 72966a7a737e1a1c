"""The sync client: an `httpx.Client` that is authenticated as one site."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wix_asgi._frames import without_our_frames
from wix_asgi._http import httpx
from wix_asgi.client._auth import WixAuth
from wix_asgi.client._errors import as_httpx_error
from wix_asgi.client._sync_parts import Deadline, SyncTokenTransport, SyncWixAuth
from wix_asgi.client._token_transport import TokenTransport
from wix_asgi.client.client import ClientFactory, WixClient, limited_copy
from wix_asgi.concurrency.portal import portal
from wix_asgi.errors import ResponseTooLarge, StorageUnavailable, WixUnavailable
from wix_asgi.identity.callers import Caller
from wix_asgi.models import Identity
from wix_asgi.protocol.headers import HEADERS

__all__ = ["SyncWixClient", "sync_client", "sync_client_of"]


class SyncWixClient(httpx.Client):
    """An `httpx.Client` for one site, for code that cannot await: `wix.sync.client(instance_id)`.

    It is the twin of `WixClient`, with its limits and errors, and shares its tokens and
    connections. Threads, greenlets and forked processes may each have one of their own; its calls
    run on the portal, the one event loop of the process. A signal's handler that raises ends the
    call at once. A request body that is an iterator is read in another thread.

    Using it raises, besides the errors of httpx and of a `WixClient`:
        RuntimeError: An async function that runs on the portal itself, such as an async handler
            of events behind `WixWSGIMiddleware`, uses it; that has the async client.
    """

    _made_of: tuple[ClientFactory, Callable[[], Caller]]

    # As a WixClient, it is built when it is first used: a WSGI request gets one in any case.
    if TYPE_CHECKING:

        def __init__(self) -> None: ...

    else:
        __init__ = object.__init__

    def __getattr__(self, name: str) -> Any:
        """Build the httpx part when an attribute of it is first asked for."""
        if "_built" not in self.__dict__:
            self._build()
        # Raises again the error of a property, or the one for an attribute that does not exist.
        return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        return "<SyncWixClient>"

    def __reduce__(self) -> Any:
        raise TypeError("A SyncWixClient belongs to its process: pass the instance id instead.")

    def _build(self) -> None:
        set_early = dict(self.__dict__)
        self.__dict__["_built"] = True
        factory = self._made_of[0]
        auth = WixAuth(
            factory.origin,
            factory.tokens,
            self._caller,
            ready=factory.ready,
            new_retry_after=factory.new_retry_after,
        )
        super().__init__(
            base_url=factory.base_url,
            auth=SyncWixAuth(auth),
            # The unpacked size of Brotli and Zstandard, which httpx may know, cannot be limited.
            headers={**HEADERS, "Accept-Encoding": "gzip, deflate"},
            transport=SyncTokenTransport(TokenTransport(factory.origin, factory.transport)),
            timeout=factory.policy.timeout,
            trust_env=False,
        )
        self.__dict__.update(set_early)

    @property
    def _caller(self) -> Caller:
        factory, find = self._made_of
        caller = find()
        # The same for all uses of one request, so that a refusal is logged once.
        self._made_of = (factory, lambda: caller)
        return caller

    @property
    def identity(self) -> Identity | None:
        """The caller, as far as can be told without asking Wix; None for nobody."""
        caller = self._caller
        portal().call(caller.prepare)
        return caller.identity

    def identify(self) -> Identity:
        """Return the caller; Wix is asked whose an access token is, where that is not known.

        Raises:
            Unauthenticated: The request names no site, or names it by a forgery.
            WixUnavailable: Wix is to be asked, and is failing.
        """
        handled = sys.exception()
        try:
            return portal().call(self._caller.identify)
        except Exception as exc:
            # They hold the proofs that were refused.
            without_our_frames(exc, until=handled)
            raise

    def send(
        self, request: httpx.Request, *, stream: bool = False, **options: Any
    ) -> httpx.Response:
        """Send `request` as httpx does; all that is read before it returns is limited.

        Raises:
            ResponseTooLarge: The answer is over 10 MB, or the answers before it.
            httpx.ReadTimeout: It took over 30 seconds, under the default timeouts.
        """
        policy = self._made_of[0].policy
        sent, limits, seconds = limited_copy(request, policy, self.timeout, is_stream=stream)
        deadline = Deadline(math.inf if stream else seconds)
        deadline.hold_for(sent)
        handled = sys.exception()
        try:
            response = super().send(sent, stream=stream, **options)
        except Exception as exc:
            # Those of the app and of httpx stay; ours have done their work.
            without_our_frames(exc, until=handled)
            if not isinstance(exc, (WixUnavailable, StorageUnavailable, ResponseTooLarge)):
                raise
            raise as_httpx_error(exc, request) from exc.__cause__
        limits.lift()
        deadline.lift()
        return response


def sync_client(factory: ClientFactory, find_caller: Callable[[], Caller]) -> SyncWixClient:
    """Return the sync client of the caller that `find_caller` returns, which is called once."""
    client = SyncWixClient()
    client._made_of = (factory, find_caller)
    return client


def sync_client_of(client: WixClient) -> SyncWixClient:
    """Return the sync twin of `client`."""
    return sync_client(client._made_of[0], lambda: client._caller)
