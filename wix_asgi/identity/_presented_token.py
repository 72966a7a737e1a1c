"""An access token of Wix in a request: known by its digest, and shown by nothing."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from wix_asgi.protocol.signed_instance import MAX_INSTANCE

__all__ = ["PresentedToken", "is_of_wix"]

_PREFIXES: Final = (b"OauthNG.", b"OAUTH2.")
"""The beginnings of Wix's access tokens.

`httpClient.fetchWithAuth()` sends the first, and `/oauth2/token` grants it (seen from 2024 to 2026:
`OauthNG.JWS.…`); the second, that of codes and refresh tokens, is older. A value with another
beginning is the app's own, such as its JWT: to ask Wix about it would give it away.
"""

_MAX_TOKEN: Final = MAX_INSTANCE
"""Bytes: an access token holds a signed instance and some fields, and is under 2 kB."""

_TOKEN: Final = re.compile(rb"[A-Za-z0-9._~+/=-]+")
"""The characters of a bearer token (RFC 6750, 2.1)."""


def is_of_wix(value: bytes) -> bool:
    """Return whether a value without its scheme begins as an access token of Wix does."""
    return value.startswith(_PREFIXES)


class PresentedToken:
    """An access token that a request presents; its value is in no repr, and in no container.

    Attributes:
        key: Its SHA-256, by which answers about it are found.
        is_readable: Whether it has the form of a token; else it is a forgery.
    """

    __slots__ = ("_value", "is_readable", "key")

    def __init__(self, value: bytes) -> None:
        """Take the value of the header, without its scheme."""
        self.is_readable = len(value) <= _MAX_TOKEN and _TOKEN.fullmatch(value) is not None
        self._value = value.decode("ascii") if self.is_readable else ""
        self.key = hashlib.sha256(self._value.encode()).digest()

    def __repr__(self) -> str:
        return "<an access token>"

    def reveal(self) -> str:
        """Return the value; it is to be in no local variable when an error is raised."""
        return self._value
