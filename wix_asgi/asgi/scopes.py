"""The secrets in the scope of a request: hidden from trackers, and taken out for hooks."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.requests import Request
from starlette.types import Scope

from wix_asgi.asgi.redaction import MASK, is_secret, redact_query

__all__ = ["hide_secrets", "without_secrets"]

Headers = list[tuple[bytes, bytes]]

_MAX_TEXT: Final = 16 * 1024
"""Bytes of a query or header that are read to be masked; a longer one is masked as a whole.

It is the longest query that an install may have, and bounds the work that anybody can cause.
"""

_MAX_HEADERS: Final = 64 * 1024
"""Bytes of all headers for which each is read; in more, those with a secret are masked as a whole.

Four times the bytes that h11 takes in all by default (`DEFAULT_MAX_INCOMPLETE_EVENT_SIZE`).
"""

_MAX_PARTS: Final = 64
"""Parameters of a text that is read to be masked: a query of ours has at most twenty."""

_MAX_ADDRESSES: Final = 8
"""Headers with an address that are read to be masked, such as a Referer; requests have one or two.

With these bounds, masking took 2.6 ms of CPU for the worst of eleven requests of up to 5 MB.
"""

_OUR_COOKIE: Final = re.compile(
    rb"(?<![^; \t])((?:(?:__Host-)?wix-|__Host-wix_session-[0-9a-f]{8}-)[0-9a-f]{16}=)[^;]*"
)
"""A cookie that binds a browser to its install (`StateSigner`) or has a session (`SessionSeal`)."""

_DIVIDERS: Final = (b"&", b"?", b"#", b" ", b"'", b'"')
"""The characters between the parts of a text: each part costs `redact_query` its time."""

_KEY: Final = "wix_asgi.hidden"
"""The key of a masked scope that holds the masked parts, for another call with the same scope."""


class _Bytes(bytes):
    """Bytes that no traceback with locals shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} hidden bytes>"

    __str__ = __repr__


class _Hidden:
    """The parts of a scope before they were masked, and its query since then."""

    __slots__ = ("masked_query", "parts")

    def __init__(self, parts: dict[str, Any], masked_query: bytes) -> None:
        self.parts = parts
        self.masked_query = masked_query


def hide_secrets(scope: Scope) -> Scope:
    """Mask the secrets of `scope` in place, and return a copy with them, for a path of ours.

    Servers, trackers and middlewares in front of us hold `scope`, and read it when they write
    their lines and events. The copy shows its values to code that uses them, and to no traceback
    with locals. A second call with the same scope, by a middleware that tries again, returns the
    same copy.
    """
    hidden: _Hidden | None = scope.get(_KEY)
    if hidden is None and not _has_secrets(scope):
        return dict(scope)
    if hidden is None or hidden.masked_query != scope["query_string"]:
        headers = list(scope["headers"])
        masked: dict[str, Any] = {
            "query_string": _redact(scope["query_string"]),
            "headers": _mask_headers(headers),
        }
        parts: dict[str, Any] = {
            "query_string": _Bytes(scope["query_string"]),
            "headers": [
                (name, value if value is shown else _Bytes(value))
                for (name, value), (_, shown) in zip(headers, masked["headers"], strict=True)
            ],
        }
        if b"?" in (scope.get("raw_path") or b""):
            # Some servers put the query there as well.
            masked["raw_path"] = _redact(scope["raw_path"])
            parts["raw_path"] = _Bytes(scope["raw_path"])
        hidden = _Hidden(parts, masked["query_string"])
        scope.update(masked, **{_KEY: hidden})
    inner = {**scope, **hidden.parts}
    del inner[_KEY]
    return inner


def without_secrets(request: Request) -> Request:
    """Return the request for a hook: without codes, states and tokens, and without our cookies.

    All other parameters, headers and cookies stay.
    """
    scope = dict(request.scope)
    query = scope.get("query_string", b"")
    pairs = query.split(b"&") if _is_readable(query) else []
    kept = [pair for pair in pairs if not is_secret(pair.partition(b"=")[0].decode("latin-1"))]
    scope["query_string"] = b"&".join(kept)
    if scope.get("raw_path"):
        scope["raw_path"] = bytes(scope["raw_path"]).partition(b"?")[0]
    headers = list(scope.get("headers", ()))
    scope["headers"] = [
        (name, _without_our_cookies(value) if name == b"cookie" else shown)
        for (name, value), (_, shown) in zip(headers, _mask_headers(headers), strict=True)
    ]
    return Request(scope, request.receive)


def _has_secrets(scope: Scope) -> bool:
    """Return whether a part of `scope` may have to be masked; a webhook of Wix has none."""
    return (
        scope["query_string"] != b""
        or b"?" in (scope.get("raw_path") or b"")
        or any(_may_be_secret(name, value) for name, value in scope["headers"])
    )


def _redact(text: bytes) -> bytes:
    return redact_query(bytes(text)) if _is_readable(text) else MASK.encode()


def _is_readable(text: bytes) -> bool:
    return len(text) <= _MAX_TEXT and sum(map(text.count, _DIVIDERS)) <= _MAX_PARTS


def _mask_headers(headers: Headers) -> Headers:
    """Mask our cookies, and the secrets of addresses, such as those of a Referer."""
    hidden = [_may_be_secret(name, value) for name, value in headers]
    is_readable = (
        sum(len(value) for _, value in headers) <= _MAX_HEADERS and sum(hidden) <= _MAX_ADDRESSES
    )
    return [
        (name, _mask_header(name, value, is_readable=is_readable) if is_hidden else value)
        for (name, value), is_hidden in zip(headers, hidden, strict=True)
    ]


def _may_be_secret(name: bytes, value: bytes) -> bool:
    if name == b"cookie":
        return _has_ours(value)
    return b"?" in value and b"=" in value


def _mask_header(name: bytes, value: bytes, *, is_readable: bool) -> bytes:
    if not is_readable or len(value) > _MAX_TEXT:
        return MASK.encode()
    return _OUR_COOKIE.sub(rb"\1***", value) if name == b"cookie" else _redact(value)


def _without_our_cookies(value: bytes) -> bytes:
    if not _has_ours(value):
        return value
    kept = value if len(value) <= _MAX_TEXT else b""
    pairs = (pair.strip(b" \t") for pair in kept.split(b";"))
    return b"; ".join(pair for pair in pairs if not _OUR_COOKIE.match(pair))


def _has_ours(cookies: bytes) -> bool:
    return b"wix-" in cookies or b"wix_session-" in cookies
