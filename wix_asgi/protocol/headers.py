"""The headers by which Wix knows the requests of this library."""

from __future__ import annotations

from typing import Final

from wix_asgi._version import __version__

__all__ = ["HEADERS"]

HEADERS: Final = {"Accept": "application/json", "User-Agent": f"wix-asgi/{__version__}"}
"""Wix answers in JSON, and an operator of Wix can tell whose requests these are.

RFC 9110, 10.1.5: a client should name itself. A header that the app sets on its own call wins.
"""
