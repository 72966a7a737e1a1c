"""Reading a query within bounds: each parameter once, short, and plain text."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from wix_asgi.errors import HandshakeRefused, Reason

__all__ = ["Query", "read_query"]

_MAX_QUERY: Final = 16 * 1024
_MAX_VALUE: Final = 4 * 1024
# Wix's codes were seen at 4.7 kB.
_MAX_CODE: Final = 8 * 1024
_MAX_PARAMETERS: Final = 20
_ONCE: Final = frozenset({"code", "state", "instanceId", "error", "token"})


class Query(dict[str, str]):
    """Parameters by name; the values, among which are codes and states, are out of its repr."""

    def __repr__(self) -> str:
        return f"<Query of {len(self)}>"


def read_query(query: bytes) -> Query:
    """Return the parameters of `query` by name.

    Raises:
        HandshakeRefused: It is too long, not UTF-8, has control characters, or names twice what
            may be there once (RFC 6749, 3.1).
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
    found = Query()
    for name, value in pairs:
        _check(name, value)
        if name in found and name in _ONCE:
            raise HandshakeRefused(Reason.BAD_REQUEST, "a parameter is repeated")
        found[name] = value
    return found


def _check(name: str, value: str) -> None:
    limit = _MAX_CODE if name == "code" else _MAX_VALUE
    if len(value) > limit:
        raise HandshakeRefused(Reason.BAD_REQUEST, "a parameter is too long", status=414)
    if any(ord(char) < 0x20 or ord(char) == 0x7F for char in name + value):
        raise HandshakeRefused(Reason.BAD_REQUEST, "a parameter has control characters")
