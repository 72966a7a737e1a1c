"""The headers of all pages and refusals of ours, but for those of one path alone."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from wix_asgi.pages.template import STYLE_SOURCE

__all__ = ["NEGOTIATED", "PRIVATE", "frame_ancestors", "page_policy"]

PRIVATE: Final = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""For answers to one person, that no cache keeps, and from which no address travels on."""

NEGOTIATED: Final = {"Vary": "Accept, Accept-Language"}
"""For answers that are a page in some language, or JSON, by these headers of the request."""

_LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost")
"""Those that a policy can name: `[::1]` is no host of one (CSP Level 3, 2.3.1)."""


def frame_ancestors(wix_url: str) -> str:
    """Return the directive that lets Wix show a page in an iframe of its own.

    A fake Wix, the only one on plain http, has its dashboard under another name of loopback.
    """
    parts = urlsplit(wix_url)
    origins = [f"{parts.scheme}://{parts.netloc}"]
    if parts.scheme == "http":
        port = f":{parts.port}" if parts.port else ""
        origins = [f"http://{name}{port}" for name in _LOOPBACK_NAMES]
    return " ".join(["frame-ancestors https://*.wix.com", *origins])


def page_policy(wix_url: str) -> str:
    """Return the Content-Security-Policy of our pages, which load nothing."""
    return (
        f"default-src 'none'; style-src {STYLE_SOURCE}; base-uri 'none'; "
        f"form-action 'none'; {frame_ancestors(wix_url)}"
    )
