"""The requests that a session may be used by: those of the app's own pages, about its site.

Browsers send a `SameSite=None` cookie with requests that any page causes. They also say where a
request comes from, in headers that no page can set (Fetch Metadata, and `Origin`).
"""

from __future__ import annotations

import re
from itertools import islice
from typing import Final
from urllib.parse import unquote_plus, urlsplit

from starlette.types import Scope

from wix_asgi.asgi.request_headers import read_headers

__all__ = ["OwnOrigin", "named_sites"]

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods that change nothing (RFC 9110, 9.2.1), without TRACE, which no page can send."""

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_MAX_QUERY: Final = 64 * 1024
"""Bytes of a query that are searched; the bound of the search for a signed instance."""

_SITE: Final = re.compile(rb"(?<![^&])wix_site=([^&]*)")


class OwnOrigin:
    """The origin of the app, with which requests are compared; immutable."""

    def __init__(self, public_url: str) -> None:
        """Take the origin of the address at which browsers reach the app."""
        parts = urlsplit(public_url)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        has_port = parts.port not in {None, _DEFAULT_PORTS[parts.scheme]}
        self._origin = f"{parts.scheme}://{host}{f':{parts.port}' if has_port else ''}"

    def sent(self, scope: Scope) -> bool:
        """Return whether the app's own pages sent the request, as far as that matters for it.

        A safe request may also be a navigation from anywhere, such as the iframe that Wix opens.
        Another page cannot read the answer to it; and a safe request of another page that is no
        navigation, such as that of `<script src>`, is none of the app's. Browsers without Fetch
        Metadata (Safari before 16.4) send `Origin` with all requests but safe ones.
        """
        site, mode, origin = read_headers(scope, b"sec-fetch-site", b"sec-fetch-mode", b"origin")
        if scope["type"] == "websocket":
            return origin == self._origin and site in {"", "same-origin"}
        if scope["method"] not in _SAFE:
            return site == "same-origin" if site else origin == self._origin
        if site:
            return site in {"same-origin", "none"} or mode == "navigate"
        return origin in {"", self._origin}


def named_sites(scope: Scope) -> set[str]:
    """Return the sites that the request names: in the header `Wix-Site`, or in `wix_site`."""
    header = read_headers(scope, b"wix-site")[0]
    query: bytes = scope["query_string"][:_MAX_QUERY]
    found = islice(_SITE.finditer(query), 2)
    return {
        *([header] if header else []),
        *(unquote_plus(match[1].decode("latin-1")) for match in found),
    }
