"""Masking the secrets of an address: codes, states, tokens and signed instances."""

from __future__ import annotations

import re
from typing import Final, TypeVar
from urllib.parse import quote, unquote, unquote_plus

__all__ = ["MASK", "is_secret", "redact_query"]

T = TypeVar("T", str, bytes)

MASK: Final = "***"
"""The text in the place of a secret value."""

_SECRETS: Final = frozenset(
    {
        "accesstoken",
        "authorizationcode",
        "clientsecret",
        "code",
        "instance",
        "refreshtoken",
        "signedinstance",
        "state",
        "token",
    }
)
"""The parameters of Wix's protocol that are good for something, in the spelling of `_plain`."""

_DIVIDERS: Final = re.compile(r"([?#\"'\s])")
"""Before the name of a parameter, besides "&": the end of a path, or of another part of a text."""

_MAX_DEPTH: Final = 3
"""Addresses inside of addresses that are looked into: Wix's installer carries one in its query."""


def redact_query(query: T) -> T:
    """Return `query` with the values of codes, states, tokens and signed instances masked.

    `query` is a query string, a whole URL or a text with one, encoded or decoded. A masked value
    ends at the next "&", since decoded values may have anything else in them. All other
    parameters stay as they are, in their order. It never raises, and takes a time in proportion
    to the length. docs/error-trackers.md shows where an app needs it.
    """
    if isinstance(query, bytes):
        return _redact(query.decode("latin-1"), 0).encode("latin-1")
    return _redact(query, 0)


def is_secret(name: str) -> bool:
    """Return whether the parameter of this name, encoded or not, holds a secret."""
    return _plain(name) in _SECRETS


def _plain(name: str) -> str:
    return unquote_plus(name).strip().lower().replace("_", "").replace("-", "")


def _redact(query: str, depth: int) -> str:
    if "=" not in query:
        return query  # most words of an access log
    return "&".join(_redact_pair(pair, depth) for pair in query.split("&"))


def _redact_pair(pair: str, depth: int) -> str:
    pieces = _DIVIDERS.split(pair)
    for place, piece in enumerate(pieces):
        name, equals, value = piece.partition("=")
        if equals and is_secret(name):
            # All that follows, since a value may have a divider in it.
            return f"{''.join(pieces[:place])}{name}={MASK}"
        if "%" in value and depth < _MAX_DEPTH:
            inner = unquote(value)
            redacted = _redact(inner, depth + 1)
            if redacted != inner:
                pieces[place] = f"{name}={quote(redacted, safe='*')}"
    return "".join(pieces)
