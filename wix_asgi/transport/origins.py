"""Where a URL leads: what is dialled for it."""

from __future__ import annotations

from typing import TypeAlias

from wix_asgi._http import httpx

__all__ = ["Origin", "origin_of"]

Origin: TypeAlias = tuple[str, bytes, int | None]


def origin_of(url: httpx.URL) -> Origin:
    """Return what is dialled for `url`; the port is None where it is the scheme's own."""
    return url.scheme, url.raw_host, url.port
