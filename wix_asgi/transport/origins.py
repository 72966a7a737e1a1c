"""Origins: scheme, host and port of a URL, which a connection is opened to."""

from __future__ import annotations

from typing import TypeAlias

from wix_asgi._http import httpx

__all__ = ["Origin", "origin_of"]

Origin: TypeAlias = tuple[str, bytes, int | None]
"""Scheme, host in ASCII, and port; the port is None where it is the scheme's default."""


def origin_of(url: httpx.URL) -> Origin:
    """Return the origin of `url` (RFC 9110, 4.3.1)."""
    return url.scheme, url.raw_host, url.port
