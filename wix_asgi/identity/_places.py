"""The places of a proof of Wix in a request: its query, and its Authorization header.

A signed instance may be in both, an access token in the header alone. Anybody sends requests of any
size, so each place is limited before it is searched: finding no instance, or two, costs under two
milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final
from urllib.parse import unquote

from wix_asgi.identity._presented_token import PresentedToken, is_of_wix
from wix_asgi.protocol.signed_instance import MAX_INSTANCE, SIGNED

__all__ = ["Headers", "in_header", "in_query", "token_in_header"]

Headers = Iterable[tuple[bytes, bytes]]
"""The headers of an ASGI scope; their names are in lower case (ASGI, HTTP connection scope)."""

_MAX_SEARCHED: Final = 64 * 1024
"""Bytes of a query or a header that are searched. uvicorn's h11 takes 64 kB for a whole request
head, nginx and gunicorn less. The worst query of this size cost 1.7 ms (`&instance!`, repeated).
"""

_MAX_ESCAPED: Final = 3 * MAX_INSTANCE
"""Bytes of a value that is decoded: every character of the longest instance, as `%XX`."""

_BEARER: Final = b"bearer "

_FORGED: Final = [""]
"""A value that no signed instance has: the caller is refused, and the app is not asked."""


def _escaped(char: str) -> str:
    """Return a pattern for a character in a query: itself, or `%XX` with digits in either case."""
    code = f"%{ord(char):02X}"
    return f"(?:{char}|{''.join(f'[{d}{d.lower()}]' if d.isalpha() else d for d in code)})"


# Compiled for bytes: as text, a query would be copied first.
_PARAMETER: Final = re.compile(
    rf"(?<![^&]){''.join(map(_escaped, 'instance'))}(?:=([^&]*))?(?![^&])".encode()
)
_SIGNATURE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def in_query(query: bytes) -> list[str]:
    """Return the value that claims to be a signed instance in the query; "" for a forgery.

    A longer query than is searched is a forgery: another site's instance might hide in it.
    """
    if len(query) > _MAX_SEARCHED:
        return _FORGED
    if b"instance=" not in query:
        return []
    found = [match[1] or b"" for match in islice(_PARAMETER.finditer(query), 2)]
    # Several have no agreed meaning: servers differ in which of them they take.
    if len(found) > 1 or any(len(value) > _MAX_ESCAPED for value in found):
        return _FORGED
    return [unquote(value.decode("latin-1").replace("+", " ")) for value in found]


def in_header(headers: Headers) -> list[str]:
    """Return the value that claims to be a signed instance in the Authorization header."""
    text = _authorization(headers).decode("latin-1")
    if len(text) <= MAX_INSTANCE:
        return [text] if SIGNED.fullmatch(text) else []
    signature, _, data = text.partition(".")
    return _FORGED if _SIGNATURE.fullmatch(signature) and "." not in data else []


def token_in_header(headers: Headers) -> PresentedToken | None:
    """Return the value that claims to be an access token of Wix in the Authorization header.

    A value in another form is the app's own business.
    """
    value = _authorization(headers)
    return PresentedToken(value) if is_of_wix(value) else None


def _authorization(headers: Headers) -> bytes:
    """Return the beginning of the first Authorization header, after `Bearer`; b"" for none."""
    for name, value in headers:
        if name == b"authorization":
            start = len(_BEARER) if value[: len(_BEARER)].lower() == _BEARER else 0
            return value[start : start + _MAX_SEARCHED]
    return b""
