"""The query of a request, read within bounds: our parameters once, short, and plain text."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_plus, unquote_to_bytes

from wix_asgi.asgi.hidden_values import HiddenValues
from wix_asgi.errors import HandshakeRefused, Reason

__all__ = ["Query", "read_query"]

_MAX_QUERY: Final = 16 * 1024
"""Bytes of a query with its escapes: a code and a state at their bounds, and 4 kB more.

It bounds the work, too: the worst of fifteen such queries took 3.6 ms of CPU on a busy machine.
"""

_MAX_CODE: Final = 8 * 1024
"""Characters of a code: Wix's codes were seen at 4.7 kB."""

_MAX_VALUE: Final = 4 * 1024
"""Characters of any other value of ours: a state has under 600, and Wix's install token is opaque
and bounded like all else."""

_MAX_LENGTHS: Final = {
    "code": _MAX_CODE,
    "state": _MAX_VALUE,
    "instanceId": _MAX_VALUE,
    "error": _MAX_VALUE,
    "token": _MAX_VALUE,
}
"""The parameters of the handshake: each may be there once (RFC 6749, 3.1)."""

_NAMES: Final = {name.encode(): name for name in _MAX_LENGTHS}

_MIN_NAME: Final = min(map(len, _NAMES))
"""Bytes of the shortest name of ours: a shorter parameter is a foreign one."""

_LETTERS: Final = re.compile(rb"(?:[A-Za-z]|%[0-9A-Fa-f]{2}){4,10}")
"""What may be a name of ours with escapes: as long as the shortest to the longest of them."""

_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")
"""C0 and DEL: they can end a line or a text in logs, databases and terminals."""


class Query(HiddenValues[str]):
    """Parameters by name; the values, among which are codes and states, are out of its repr."""

    __slots__ = ()


def read_query(query: bytes) -> Query:
    """Return the parameters of the handshake by name.

    All other parameters are left out unread, in any number and encoding: links of campaigns have
    them, and they are none of ours to judge.

    Raises:
        HandshakeRefused: The query is too long; or a parameter of ours is there twice, too long,
            not UTF-8, or has control characters.
    """
    if len(query) > _MAX_QUERY:
        raise HandshakeRefused(Reason.BAD_REQUEST, "the query is too long", status=414)
    found: dict[str, str] = {}
    for pair in query.split(b"&"):
        if len(pair) < _MIN_NAME:
            continue
        written, _, value = pair.partition(b"=")
        name = _name(written)
        if name is None:
            continue
        if name in found:
            raise HandshakeRefused(Reason.BAD_REQUEST, "a parameter is repeated")
        found[name] = _decode(value, _MAX_LENGTHS[name])
    return Query(found)


def _name(written: bytes) -> str | None:
    """Return the parameter of ours that is meant; None for a foreign one."""
    if b"%" in written and _LETTERS.fullmatch(written):
        written = unquote_to_bytes(written)
    return _NAMES.get(written)


def _decode(value: bytes, max_length: int) -> str:
    try:
        text = unquote_plus(value.decode("ascii"), errors="strict")
    except ValueError as exc:
        raise HandshakeRefused(Reason.BAD_REQUEST, "the query is malformed") from exc
    if len(text) > max_length:
        raise HandshakeRefused(Reason.BAD_REQUEST, "a parameter is too long", status=414)
    if _CONTROL_CHARACTER.search(text):
        raise HandshakeRefused(Reason.BAD_REQUEST, "a parameter has control characters")
    return text
