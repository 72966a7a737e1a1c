"""How one call is authenticated: which token it carries, and when it is sent again."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Final, NoReturn

from wix_asgi._http import httpx
from wix_asgi.client._limits import is_limited
from wix_asgi.client._token_transport import TOKEN
from wix_asgi.errors import AuthorizationConflict, NotInstalled
from wix_asgi.identity.callers import Caller
from wix_asgi.models import AccessToken
from wix_asgi.protocol.answers import retry_after, text_of
from wix_asgi.transport.bodies import can_be_sent_again
from wix_asgi.transport.origins import Origin, origin_of
from wix_asgi.transport.pooled import IDEMPOTENT

if TYPE_CHECKING:
    from wix_asgi.tokens.cache import TokenCache

__all__ = ["RetryAfter", "WixAuth", "token_for"]

_BUSY: Final = frozenset({429, 503})
"""The statuses with which Wix says that it takes the same call later (RFC 6585 and RFC 9110)."""


_FOREIGN: Final = (
    "The auth of a WixClient names the token, and only that client attaches it: {remedy}."
)


class RetryAfter:
    """The waits of one call for Wix to take it, where answers ask for them: limited in all."""

    def __init__(
        self, repeats: int, seconds: float, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        """Wait at most `repeats` times, and `seconds` in all."""
        self._repeats = repeats
        self._seconds = seconds
        self._sleep = sleep

    async def wait_for(self, request: httpx.Request, response: httpx.Response) -> bool:
        """Wait as `response` asks for; False where it does not ask, or asks for too much."""
        if response.status_code not in _BUSY or request.method not in IDEMPOTENT:
            return False
        seconds = retry_after(response.headers)
        if seconds is None or not can_be_sent_again(request):
            return False
        self._repeats -= 1
        self._seconds -= seconds
        if self._repeats < 0 or self._seconds < 0:
            return False
        # Read, so that its connection is free during the wait.
        await response.aread()
        await self._sleep(seconds)
        # Asked again, since a file may have been closed meanwhile.
        return can_be_sent_again(request)


async def token_for(
    caller: Caller, tokens: TokenCache, ready: Callable[[], Awaitable[None]]
) -> tuple[str, AccessToken]:
    """Return the installation of `caller`, and a token that is good for the next request.

    Raises:
        Unauthenticated: The caller is unknown, or may not use the client.
        NotInstalled: Its site does not have the app; this is logged.
        Exception: The remaining errors of `TokenCache.get`.
    """
    identity = await caller.identify()
    instance_id = identity.instance_id
    if origin := text_of(identity.claims.get("originInstanceId")):
        tokens.note_origin(instance_id, origin)
    await ready()
    try:
        return instance_id, await tokens.get(instance_id)
    except NotInstalled as refusal:
        caller.log_not_installed(refusal, instance_id)
        raise


class WixAuth(httpx.Auth):
    """Names the token for a call; waits where Wix says so; takes another token on a 401."""

    def __init__(
        self,
        origin: Origin,
        tokens: TokenCache,
        caller: Caller,
        *,
        ready: Callable[[], Awaitable[None]],
        new_retry_after: Callable[[], RetryAfter],
    ) -> None:
        """Name tokens of `caller`'s installation, for `origin` alone, once all is `ready`."""
        self._origin = origin
        self._tokens = tokens
        self._caller = caller
        self._ready = ready
        self._new_retry_after = new_retry_after

    def sync_auth_flow(self, request: httpx.Request) -> NoReturn:
        """Raise RuntimeError: in an `httpx.Client` the call would go out without a token."""
        remedy = "an httpx.Client cannot, so await the methods of the WixClient itself"
        raise RuntimeError(_FOREIGN.format(remedy=remedy))

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Let the call pass as it is to any other origin; to Wix, with a token."""
        if not self._wants_token(request):
            yield request
            return
        instance_id, token = await token_for(self._caller, self._tokens, self._ready)
        waits = self._new_retry_after()
        renewed = False
        while True:
            request.extensions = {**request.extensions, TOKEN: token}
            response = yield request
            if TOKEN not in response.request.extensions:
                return
            if response.status_code == 401 and not renewed:
                renewed = True
                # Read, so that its connection is free during the refresh.
                await response.aread()
                refused, token = token, await self._tokens.renew(instance_id, token)
                if token.value == refused.value or not can_be_sent_again(request):
                    return
            elif response.status_code == 401:
                self._tokens.note_useless(instance_id, token)
                return
            elif not await waits.wait_for(request, response):
                return

    def _wants_token(self, request: httpx.Request) -> bool:
        """Return whether `request` goes to Wix.

        Raises:
            RuntimeError: Another client sends it, and would send it without the token.
            AuthorizationConflict: It has an Authorization header of its own.
        """
        if not is_limited(request):
            remedy = "use the WixClient itself, or hand it on in the place of an httpx.AsyncClient"
            raise RuntimeError(_FOREIGN.format(remedy=remedy))
        if origin_of(request.url) != self._origin:
            return False
        if "Authorization" in request.headers:
            raise AuthorizationConflict
        return True
