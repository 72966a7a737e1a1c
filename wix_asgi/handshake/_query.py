r"""The query of a request, read within bounds: our parameters once, short, and plain text.

Anybody may send a query of 16 kB, and a loop over its 5,000 escapes or 8,000 pairs in Python would
hold the event loop for some milliseconds. So each step here is one call of C on all bytes, and
conditions on neighbouring bytes are arithmetic on the query as one big integer: a table turns the
bytes of a kind into `_MARK` and all others into 0, a shift by 8 moves every mark by one byte, and
`&` and `~` combine the marks. `read_by_the_pair` in the tests is the same reading as a plain loop.

An example, `a=1%26&%63ode=x%zz`, between two added `&`. An escape is a `%` with a hexadecimal digit
one place and two places behind it:

    query             &a=1%26&%63ode=x%zz&
    _PERCENTS         ....^...^.......^...
    _HEX_DIGITS       .^.^.^^..^^.^^......
    digits << 8       ^.^.^^..^^.^^.......
    digits << 16      .^.^^..^^.^^........
    all three, by &   ....^...^...........

The marked `%` become `\u01`, so that Python's own `unicode_escape` reads `%26` as U+0126. That is
no `&`, so an escaped `&` ends no pair; its low byte is the byte that was escaped. One pattern then
finds the names in a copy that has letters and ends alone, with the first byte of each pair marked,
here `c` as `\xe3`:

    text              &a=1\u0126&\u0163ode=x%zz&
    _mark_names       &a&\0\0&\xe3ode&x\0zz&

The `a` has no mark, since no name of ours has under four bytes. The value of `code` is the text
behind the `=` at the same place, up to the next `&`: `x%zz`.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from typing import Final

from wix_asgi.asgi.hidden_values import HiddenValues
from wix_asgi.errors import HandshakeRefused, Reason
from wix_asgi.protocol.signed_instance import MAX_INSTANCE

__all__ = ["ADVANCED", "EXTERNAL", "Parameters", "Query", "read_query"]

_MAX_QUERY: Final = 16 * 1024
"""Bytes of a query with its escapes: a code and a state at their bounds, and 4 kB more.

It bounds the work, too: the worst of 40 such queries took 0.3 ms of CPU on a busy machine.
"""

_MAX_CODE: Final = 8 * 1024
"""Characters of a code: Wix's codes were seen at 4.7 kB."""

_MAX_VALUE: Final = 4 * 1024
"""Characters of any other value of ours: a state has under 600, and Wix's install token is opaque
and bounded like all else."""


_MARK: Final = 0x80
"""The bit that no byte of ASCII has: it marks the `%` of an escape and the first byte of a pair."""


class Parameters:
    """The parameters of one flow, each of which may be there once (RFC 6749, 3.1)."""

    def __init__(self, **max_lengths: int) -> None:
        """Take the characters that the value of each may have; names are of ASCII letters."""
        self.max_lengths = max_lengths
        self.names = {_marked(name.encode("ascii")): name for name in max_lengths}
        self.pattern = re.compile(b"(?:%b)(?=&)" % b"|".join(map(re.escape, self.names)))


def _marked(name: bytes) -> bytes:
    """Return `name` as `_mark_names` leaves it at the beginning of a pair."""
    return bytes([name[0] | _MARK]) + name[1:]


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

_CONTROL_CHARACTERS: Final = bytes([*range(0x20), 0x7F])
"""C0 and DEL: they can end a line or a text in logs, databases and terminals."""

_ESCAPE: Final = bytes([ord("%") | _MARK])
_BACKSLASH: Final = ord("\\") | _MARK
"""Both are bytes that `_RAW` leaves free: of the bytes from 0x80 on it returns 0xFF alone."""
_NOT_UTF_8: Final = 0xFF


def _table(of: Callable[[int], int]) -> bytes:
    return bytes(map(of, range(256)))


_RAW: Final = _table(
    lambda byte: _NOT_UTF_8 if byte >= _MARK else {0x2B: 0x20, 0x5C: _BACKSLASH}.get(byte, byte)
)
"""Bytes without an escape: `+` is a space, a backslash is no escape of Python's, and what is not
ASCII should have had an escape."""

_PERCENTS: Final = _table(lambda byte: _MARK if byte == ord("%") else 0)
_HEX_DIGITS: Final = _table(lambda byte: _MARK if chr(byte) in string.hexdigits else 0)
_AMPERSANDS: Final = _table(lambda byte: _MARK if byte == ord("&") else 0)

_NAMES: Final = _table(
    lambda byte: byte if chr(byte) in string.ascii_letters else ord("&") if byte in b"&=" else 0
)
"""What names consist of, and `&` for both of their ends."""


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
    text = _read_escapes(b"&%b&" % query)
    found: dict[str, str] = {}
    for match in parameters.pattern.finditer(_mark_names(text)):
        name = parameters.names[match[0]]
        if name in found:
            raise HandshakeRefused(Reason.BAD_REQUEST, "a parameter is repeated")
        value = text[match.end() + 1 : text.index("&", match.end())]
        found[name] = _decode(value, parameters.max_lengths[name])
    return Query(found)


def _read_escapes(query: bytes) -> str:
    """Return `query` with a character for each byte that it means: U+01xx for one with an escape.

    The standard library's `unquote_to_bytes` makes two objects of each escape: 4 ms of CPU for a
    query at the bound. Here each step goes once over all bytes, in C.
    """
    raw = query.translate(_RAW)
    if b"%" not in query:
        text = raw.decode("latin-1")
    else:
        digits = _as_number(query.translate(_HEX_DIGITS))
        escapes = _as_number(query.translate(_PERCENTS)) & digits << 8 & digits << 16
        text = _flip(raw, escapes).replace(_ESCAPE, b"\\u01").decode("unicode_escape")
    # Only now: a real backslash would have begun an escape of Python's.
    return text.replace(chr(_BACKSLASH), "\\")


def _mark_names(text: str) -> bytes:
    """Return the letters of `text` at their places, and the first of each pair with `_MARK`.

    An `&` or `=` that had an escape (U+0126, U+013D) ends no name and no pair. Pairs of under four
    bytes are passed over: 8,000 of them would be 8,000 attempts of the pattern, and `code` is the
    shortest name.
    """
    data = _low_bytes(text.replace("\u0126", "\0").replace("\u013d", "\0"))
    ends = _as_number(data.translate(_AMPERSANDS))
    # The place behind an `&`, unless there is another one at it or at one of the next three.
    begins = ends >> 8 & ~(ends | ends << 8 | ends << 16 | ends << 24)
    return _flip(data.translate(_NAMES), begins)


def _as_number(data: bytes) -> int:
    """Return `data` as one number, in which a shift by 8 moves each mark by a byte."""
    return int.from_bytes(data, "big")


def _flip(data: bytes, marks: int) -> bytes:
    """Return `data` with `_MARK` in the bytes at `marks`, none of which has it yet."""
    return (_as_number(data) ^ marks).to_bytes(len(data), "big")


def _low_bytes(text: str) -> bytes:
    """Return the byte that each character stands for: the U+01xx of an escape, and all others."""
    return text.encode("utf-16-le")[::2]


def _decode(value: str, max_length: int) -> str:
    data = _low_bytes(value)
    try:
        text = data.decode()
    except ValueError as exc:
        raise HandshakeRefused(Reason.BAD_REQUEST, "the query is malformed") from exc
    if len(text) > max_length:
        raise HandshakeRefused(Reason.BAD_REQUEST, "a parameter is too long", status=414)
    if len(data.translate(None, _CONTROL_CHARACTERS)) != len(data):
        raise HandshakeRefused(Reason.BAD_REQUEST, "a parameter has control characters")
    return text
