"""The sync client: an `httpx.Client` that is authenticated as one site."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

from wix_asgi._frames import without_our_frames
from wix_asgi._http import httpx
from wix_asgi.client._errors import error_of_call
from wix_asgi.client._late_client import LateClient
from wix_asgi.client._sync_parts import Deadline, SyncTokenTransport, SyncWixAuth
from wix_asgi.client._token_transport import TokenTransport
from wix_asgi.client.client import ClientFactory, WixClient, limited_copy
from wix_asgi.concurrency.portal import portal
from wix_asgi.identity.callers import Caller
from wix_asgi.models import Identity

__all__ = ["SyncWixClient", "sync_client", "sync_client_of"]


class SyncWixClient(LateClient, httpx.Client):
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

    def _build_httpx_part(self) -> None:
        factory = self._made_of[0]
        httpx.Client.__init__(
            self,
            base_url=factory.base_url,
            auth=SyncWixAuth(factory.auth(self._caller)),
            headers=factory.headers,
            transport=SyncTokenTransport(TokenTransport(factory.origin, factory.transport)),
            timeout=factory.policy.timeout,
            trust_env=False,
        )

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
            if (error := error_of_call(exc, request, until=handled)) is None:
                raise
            raise error from exc.__cause__
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
