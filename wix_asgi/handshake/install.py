"""The install path: the browser is sent to Wix, with a state that only this browser can use."""

from __future__ import annotations

import logging
import re
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from wix_asgi.asgi.cookies import read_cookies
from wix_asgi.handshake._query import read_query
from wix_asgi.handshake._requests import refuse_automatic_loads, refuse_other_methods
from wix_asgi.handshake.responses import Responses
from wix_asgi.handshake.state import Flow, StateSigner
from wix_asgi.models import InstallFlow
from wix_asgi.protocol.endpoints import Endpoints
from wix_asgi.reporting.line_limit import LineLimit, and_more

__all__ = ["Install"]

logger = logging.getLogger("wix_asgi")

_MAX_PENDING: Final = 16
"""Installs that one browser may have under way; the oldest cookies above it are cleared.

A cookie of ours is 73 bytes in a request, so that sixteen are 1.2 kB of the 8 kB of headers that
servers and proxies take (nginx, `large_client_header_buffers`). Abandoned installs may not fill
them, or the app could not be reached with this browser any more.
"""

_MAX_CLEARED: Final = 16
"""Cookies that one answer clears, in 1.8 kB of headers; the next begin clears the next sixteen.

Proxies refuse an answer whose headers are longer than 4 or 8 kB (nginx, `proxy_buffer_size`), and
anybody can send cookies that are named as ours.
"""

_SECONDS: Final = 60.0
"""From one line about a left-over App URL to the next: it stays true until an operator reads it."""

_FLOW_ID: Final = re.compile(r"[0-9a-f]{16}")
"""How the names of our cookies end: an app may have cookies of its own that begin as ours do."""


class Install:
    """Begins an install at each `GET`; it has no state, and costs no storage."""

    def __init__(
        self,
        *,
        endpoints: Endpoints,
        signer: StateSigner,
        responses: Responses,
        flow: InstallFlow = InstallFlow.ADVANCED,
    ) -> None:
        """Send browsers to the installer of `flow` at `endpoints`, with states of `signer`."""
        self._flow = flow
        self._lines = LineLimit(_SECONDS)
        self._endpoints = endpoints
        self._signer = signer
        self._responses = responses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as an ASGI app."""
        request = Request(scope, receive)
        response = await self._responses.answer(request, self._begin(request))
        await response(scope, receive, send)

    async def _begin(self, request: Request) -> Response:
        if request.method == "HEAD":
            return self._responses.with_headers(Response())
        refuse_other_methods(request, allow="GET, HEAD")
        refuse_automatic_loads(request)
        token = read_query(request.scope["query_string"]).get("token") or None
        flow = self._signer.mint()
        location = self._installer_url(flow, token)
        response = self._responses.with_headers(RedirectResponse(location, 303))
        self._clear_oldest_cookies(request, response)
        self._responses.set_cookie(response, flow)
        return response

    def _installer_url(self, flow: Flow, token: str | None) -> str:
        if self._flow is InstallFlow.ADVANCED:
            return self._endpoints.installer_url(flow.state, token)
        if token is not None:
            self._note_app_url()
        return self._endpoints.external_installer_url(flow.state)

    def _note_app_url(self) -> None:
        left_out = self._lines.admit("token")
        if left_out is not None:
            logger.warning(
                "Wix opened the install path with a token, as an App URL: clear App URL and "
                "Redirect URL in the app's dashboard, which belong to the custom authentication "
                "(legacy); the install goes on without them%s",
                and_more(left_out),
            )

    def _clear_oldest_cookies(self, request: Request, response: Response) -> None:
        prefix = self._signer.cookie_prefix
        pending = [
            name
            for name in read_cookies(request.scope["headers"], prefix)
            if _FLOW_ID.fullmatch(name.removeprefix(prefix))
        ]
        for name in pending[: max(0, len(pending) + 1 - _MAX_PENDING)][:_MAX_CLEARED]:
            self._responses.clear_cookie(response, name)
