"""The query of a request, read within bounds: our parameters once, short, and plain text."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote_plus, unquote_to_bytes

from wix_asgi.asgi.hidden_values import HiddenValues
from wix_asgi.errors import HandshakeRefused, Reason
from wix_asgi.protocol.signed_instance import MAX_INSTANCE

__all__ = ["ADVANCED", "EXTERNAL", "Parameters", "Query", "read_query"]

_MAX_QUERY: Final = 16 * 1024
"""Bytes of a query with its escapes: a code and a state at their bounds, and 4 kB more.

It bounds the work, too: the worst of fifteen such queries took 3.6 ms of CPU on a busy machine.
"""

_MAX_CODE: Final = 8 * 1024
"""Characters of a code: Wix's codes were seen at 4.7 kB."""

_MAX_VALUE: Final = 4 * 1024
"""Characters of any other value of ours: a state has under 600, and Wix's install token is opaque
and bounded like all else."""


class Parameters:
    """The parameters of one flow, each of which may be there once (RFC 6749, 3.1)."""

    def __init__(self, **max_lengths: int) -> None:
        """Take the characters that the value of each may have."""
        self.max_lengths = max_lengths
        self._names = {name.encode(): name for name in max_lengths}
        lengths = [len(name) for name in max_lengths]
        self._shortest = min(lengths)
        # What may be one of the names with escapes: as long as the shortest to the longest.
        self._letters = re.compile(
            rb"(?:[A-Za-z]|%%[0-9A-Fa-f]{2}){%d,%d}" % (self._shortest, max(lengths))
        )

    def name(self, written: bytes) -> str | None:
        """Return the parameter that is meant; None for a foreign one."""
        if b"%" in written and self._letters.fullmatch(written):
            written = unquote_to_bytes(written)
        return self._names.get(written)

    def may_begin(self, pair: bytes) -> bool:
        """Whether `pair` is long enough to begin with one of the names."""
        return len(pair) >= self._shortest


ADVANCED: Final = Parameters(
    code=_MAX_CODE, state=_MAX_VALUE, instanceId=_MAX_VALUE, error=_MAX_VALUE, token=_MAX_VALUE
)
"""The parameters of the handshake with a code."""

EXTERNAL: Final = Parameters(
    state=_MAX_VALUE,
    error=_MAX_VALUE,
    token=_MAX_VALUE,
    appId=_MAX_VALUE,
    tenantId=_MAX_VALUE,
    instanceId=_MAX_VALUE,
    signedInstance=MAX_INSTANCE,
)
"""Those of the external install flow: Wix adds the last four to the address of the callback."""

_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")
"""C0 and DEL: they can end a line or a text in logs, databases and terminals."""


class Query(HiddenValues[str]):
    """Parameters by name; the values, among which are codes and states, are out of its repr."""

    __slots__ = ()


def read_query(query: bytes, parameters: Parameters = ADVANCED) -> Query:
    """Return the `parameters` of a flow by name.

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
        if not parameters.may_begin(pair):
            continue
        written, _, value = pair.partition(b"=")
        name = parameters.name(written)
        if name is None:
            continue
        if name in found:
            raise HandshakeRefused(Reason.BAD_REQUEST, "a parameter is repeated")
        found[name] = _decode(value, parameters.max_lengths[name])
    return Query(found)


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
