"""The head of a request as HTTP/1.1 sends it, by the rules that h11 has for it."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from wix_asgi._http import httpx

__all__ = ["RequestHead"]

_TOKEN: Final = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
_TARGET: Final = re.compile(rb"[\x21-\x7e]+")
# Control characters are let through, save NUL and white space: they stand in cookies.
_VALUE: Final = re.compile(rb"(?:[^\x00\s]+(?:[ \t]+[^\x00\s]+)*)?")
_ONCE: Final = {
    b"host": "Host",
    b"content-length": "Content-Length",
    b"transfer-encoding": "Transfer-Encoding",
}
_LENGTH: Final = re.compile(rb"[0-9]{1,20}")


class RequestHead(NamedTuple):
    """The head of a request.

    Attributes:
        data: The bytes that are sent.
        length: The declared length of the body; None where the body is chunked.
        keep_alive: Whether the connection may be used again.
    """

    data: bytes
    length: int | None
    keep_alive: bool

    @classmethod
    def of(cls, request: httpx.Request) -> RequestHead:
        """Serialise the head of `request`.

        Raises:
            httpx.LocalProtocolError: It would not be one request: a character that is not allowed,
                no host or several, no length that is certain.
        """
        method = request.method.encode("ascii")
        target = request.url.raw_path
        if not _TOKEN.fullmatch(method):
            raise httpx.LocalProtocolError("Illegal method characters")
        if not _TARGET.fullmatch(target):
            raise httpx.LocalProtocolError("Illegal target characters")
        return _serialise(method, target, request.headers.raw)


def _serialise(method: bytes, target: bytes, headers: list[tuple[bytes, bytes]]) -> RequestHead:
    lines = [b"%b %b HTTP/1.1\r\n" % (method, target)]
    framing: dict[bytes, bytes] = {}
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise httpx.LocalProtocolError("Illegal header name")
        if not _VALUE.fullmatch(value):
            # The value is not shown: it may be a token.
            raise httpx.LocalProtocolError(f"Illegal header value of {name.decode('ascii')}")
        line = b"%b: %b\r\n" % (name, value)
        lowered = name.lower()
        if lowered in _ONCE:
            if lowered in framing:
                raise httpx.LocalProtocolError(f"Found multiple {_ONCE[lowered]}: headers")
            framing[lowered] = value
        elif lowered == b"connection" and b"close" in value.lower():
            framing[lowered] = value
        # The host stands first (RFC 9110, 7.2).
        lines.insert(1 if lowered == b"host" else len(lines), line)
    if b"host" not in framing:
        raise httpx.LocalProtocolError("Missing mandatory Host: header")
    length = _length_of(framing)
    if length is None:
        # httpx may put a length there, which must not stand beside a coding (RFC 9112, 6.2).
        lines = [line for line in lines if not line.lower().startswith(b"content-length:")]
    lines.append(b"\r\n")
    return RequestHead(b"".join(lines), length, b"connection" not in framing)


def _length_of(framing: dict[bytes, bytes]) -> int | None:
    length, coding = framing.get(b"content-length", b"0"), framing.get(b"transfer-encoding")
    if not _LENGTH.fullmatch(length):
        raise httpx.LocalProtocolError("bad Content-Length")
    if coding is None:
        return int(length)
    if coding.lower() != b"chunked":
        raise httpx.LocalProtocolError("Only Transfer-Encoding: chunked is supported")
    return None
