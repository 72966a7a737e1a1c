"""Which requests are refused before anything is read or used up: all but a person's navigation."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request

from wix_asgi.asgi.request_headers import read_headers
from wix_asgi.errors import HandshakeRefused, Reason

__all__ = ["refuse_automatic_loads", "refuse_other_methods"]

_NAVIGATIONS: Final = frozenset({"document", "iframe", "frame", "fencedframe"})
"""The `Sec-Fetch-Dest` of a person's click (W3C, Fetch Metadata); images and scripts have others.

Wix loads the paths in a window or in an iframe.
"""

_WORKER_MODES: Final = frozenset({"same-origin", "cors"})
"""The `Sec-Fetch-Mode` of a request that a service worker makes anew out of a navigation."""

_SAME_ORIGIN: Final = frozenset({"", "same-origin"})
"""The `Sec-Fetch-Site` of an app's own service worker; browsers before it do not tell the site."""

_PREVIEW_BOT: Final = re.compile(
    r"(slack|twitter|linkedin|discord|telegram|google|bing|apple|mastodon)bot"
    r"|facebookexternalhit|whatsapp/|skypeuripreview|bingpreview",
    re.IGNORECASE,
)
"""The `User-Agent` of programs that load each link in a message, to show a preview of it."""


def refuse_other_methods(request: Request, *, allow: str) -> None:
    """Refuse every method but GET, and name those of `allow` (RFC 9110, 15.5.6).

    Raises:
        HandshakeRefused: The request is no GET; the status is 405.
    """
    if request.method != "GET":
        raise HandshakeRefused(
            Reason.BAD_REQUEST, "the method is not allowed", status=405, headers={"Allow": allow}
        )


def refuse_automatic_loads(request: Request) -> None:
    """Refuse a load that no person asked for, before it can use up a state or a code.

    Raises:
        HandshakeRefused: A browser prefetches, an element of a page loads it, or a bot does.
    """
    *purposes, user_agent = read_headers(
        request.scope, b"sec-purpose", b"x-sec-purpose", b"purpose", b"x-moz", b"user-agent"
    )
    if (
        "prefetch" in "".join(purposes).lower()
        or not _is_navigation(request)
        or _PREVIEW_BOT.search(user_agent)
    ):
        raise HandshakeRefused(Reason.BAD_REQUEST, "not a person's navigation")


def _is_navigation(request: Request) -> bool:
    """Whether a person navigates here, as far as the browser tells (W3C, Fetch Metadata).

    Behind a service worker every destination is `empty`, so that the mode decides: the mode of
    `fetch(event.request)` stays `navigate`, which no script can choose by itself. A worker that
    makes a new Request of it (Chromium 156) has the mode of a script, and still asks for a page as
    a navigation does. Of another site's scripts nothing is taken.
    """
    destination, mode, site, accept = read_headers(
        request.scope, b"sec-fetch-dest", b"sec-fetch-mode", b"sec-fetch-site", b"accept"
    )
    if destination != "empty":
        return (destination or "document") in _NAVIGATIONS
    return mode == "navigate" or (
        mode in _WORKER_MODES and site in _SAME_ORIGIN and accept.startswith("text/html")
    )
