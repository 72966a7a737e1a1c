"""The token is attached to a call at the last moment, and for the API's own origin only.

The URL that is really dialled decides: no absolute URL, redirect or event hook can take the token
elsewhere, and no request that an app gets to see has it in a header.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

from wix_asgi._frames import without_frames
from wix_asgi._http import httpx
from wix_asgi.client._limits import limit
from wix_asgi.models import AccessToken
from wix_asgi.transport.origins import Origin, origin_of

__all__ = ["TOKEN", "TokenTransport", "copy_without_token"]

TOKEN: Final = "wix_asgi.token"  # noqa: S105 - the name of an extension
"""The extension of httpx in which a request carries its AccessToken as far as the transport."""


class TokenTransport(httpx.AsyncBaseTransport):
    """Attaches the token where the call really goes to Wix; shares the pool, never closes it."""

    def __init__(self, origin: Origin, transport: httpx.AsyncBaseTransport) -> None:
        """Send through `transport`, which outlives this."""
        self._origin = origin
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one hop; raises the errors of the transport, without the frames in it."""
        if TOKEN in request.extensions and origin_of(request.url) != self._origin:
            # For good: the server at another origin may lead the call to Wix again.
            request.extensions = _without_token(request.extensions)
        handled = sys.exception()
        try:
            response = await self._transport.handle_async_request(_dialled(request))
        except Exception as exc:
            # They hold the copy with the token, and what is written of it to the connection.
            without_frames(exc, until=handled)
            raise
        return limit(request, response)


def copy_without_token(request: httpx.Request) -> httpx.Request:
    """Return the same request as another object, without the token of an earlier call."""
    copy = _copy(request)
    copy.extensions = _without_token(request.extensions)
    return copy


def _without_token(extensions: Mapping[str, Any]) -> dict[str, Any]:
    remaining = dict(extensions)
    remaining.pop(TOKEN, None)
    return remaining


def _dialled(request: httpx.Request) -> httpx.Request:
    """Return the request that is really sent: a copy, since apps see the headers of `request`."""
    dialled = _copy(request)
    dialled.headers = request.headers.copy()
    token: AccessToken | None = request.extensions.get(TOKEN)
    if token is not None:
        # Without "Bearer", as Wix wants it.
        dialled.headers["Authorization"] = token.value
    return dialled


def _copy(request: httpx.Request) -> httpx.Request:
    # copy.copy() would leave out the body, as pickling does.
    copy = httpx.Request.__new__(httpx.Request)
    vars(copy).update(vars(request))
    return copy
