"""The query of a request, read within bounds: each parameter once, short, and plain text."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl

from wix_asgi.errors import HandshakeRefused, Reason
from wix_asgi.handshake._hidden_values import HiddenValues

__all__ = ["Query", "read_query"]

_MAX_QUERY: Final = 16 * 1024
"""Bytes of a query with its escapes: a code and a state at their bounds, and 4 kB more."""

_MAX_CODE: Final = 8 * 1024
"""Characters of a code: Wix's codes were seen at 4.7 kB."""

_MAX_VALUE: Final = 4 * 1024
"""Characters of any other value: a state of ours has under 600, and Wix's install token is opaque
and bounded like all else."""

_MAX_PARAMETERS: Final = 20
"""Parameters of a query: Wix sends three, and links of a campaign add a handful."""

_ONCE: Final = frozenset({"code", "state", "instanceId", "error", "token"})
"""The parameters of the handshake: each may be there once (RFC 6749, 3.1)."""

_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")
"""C0 and DEL: they can end a line or a text in logs, databases and terminals."""


class Query(HiddenValues[str]):
    """Parameters by name; the values, among which are codes and states, are out of its repr."""

    __slots__ = ()


def read_query(query: bytes) -> Query:
    """Return the parameters of `query` by name; where a foreign parameter is repeated, its last.

    Raises:
        HandshakeRefused: The query is too long, is not UTF-8, has control characters, or repeats
            a parameter that may be there once (RFC 6749, 3.1).
    """
    if len(query) > _MAX_QUERY:
        raise HandshakeRefused(Reason.BAD_REQUEST, "the query is too long", status=414)
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_PARAMETERS,
        )
    except ValueError as exc:
        raise HandshakeRefused(Reason.BAD_REQUEST, "the query is malformed") from exc
    found: dict[str, str] = {}
    for name, value in pairs:
        _check(name, value)
        if name in found and name in _ONCE:
            raise HandshakeRefused(Reason.BAD_REQUEST, "a parameter is repeated")
        found[name] = value
    return Query(found)


def _check(name: str, value: str) -> None:
    limit = _MAX_CODE if name == "code" else _MAX_VALUE
    if len(value) > limit:
        raise HandshakeRefused(Reason.BAD_REQUEST, "a parameter is too long", status=414)
    if _CONTROL_CHARACTER.search(name) or _CONTROL_CHARACTER.search(value):
        raise HandshakeRefused(Reason.BAD_REQUEST, "a parameter has control characters")
