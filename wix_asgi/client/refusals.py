"""The answers to refused requests: a page for people, and JSON for programs."""

from __future__ import annotations

import logging
import secrets
from typing import Final

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope

from wix_asgi.asgi.request_headers import read_headers
from wix_asgi.client.client import STATE_KEY, WixClient
from wix_asgi.errors import RequestRefused
from wix_asgi.pages.headers import NEGOTIATED, PRIVATE
from wix_asgi.pages.languages import choose_language
from wix_asgi.pages.pages import Pages

__all__ = ["answer_refusal", "pages_of", "response_to"]

logger = logging.getLogger("wix_asgi")

_PLAIN: Final = Pages()
"""For requests that came by no WixMiddleware: pages without a name and without support."""


def pages_of(scope: Scope) -> Pages:
    """Return the pages of the app whose WixMiddleware the request came by, or plain ones."""
    client = (scope.get("state") or {}).get(STATE_KEY)
    pages = client._made_of[0].pages if isinstance(client, WixClient) else None
    return pages or _PLAIN


def answer_refusal(scope: Scope, refusal: RequestRefused) -> Response:
    """Return the answer to the refused request of `scope`, with its status and headers.

    A person's navigation (`Accept: text/html`) gets a page in a language of `Accept-Language`, with
    the app's name and a way on; any other request gets
    `{"error": reason, "message": …, "incident": …}`. Nothing is sent yet.
    """
    accept, accept_language = read_headers(scope, b"accept", b"accept-language")
    return response_to(refusal, pages_of(scope), accept, accept_language)


def response_to(
    refusal: RequestRefused, pages: Pages, accept: str, accept_language: str
) -> Response:
    """Return the answer to a refused request that has these two headers; empty where it has not."""
    code, incident = str(refusal.reason), secrets.token_hex(6)
    # Anybody can cause it, and each reason has a line of its own already (`RefusalLog`).
    logger.debug("a request was refused: %s (incident %s)", code, incident)
    headers = {
        **PRIVATE,
        **NEGOTIATED,
        "Content-Security-Policy": pages.policy,
        **(refusal.headers or {}),
    }
    if "text/html" in accept.lower():
        tag = choose_language(accept_language)
        headers["Content-Language"] = tag
        page = pages.caller(tag, code, incident, refusal.detail)
        return HTMLResponse(page, refusal.status_code, headers)
    body = {"error": code, "message": refusal.detail, "incident": incident}
    return JSONResponse(body, refusal.status_code, headers)
