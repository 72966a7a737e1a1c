"""What a case of the corpus says: the bytes of an answer, and what a client makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from wix_asgi._http import httpx

__all__ = ["REFUSED", "Case", "Outcome", "Read", "Refused", "answer"]

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """An answer that the client reads.

    Attributes:
        headers: The headers as they were sent; None where the case is about something else.
        kept: Whether the connection serves the next request, too.
    """

    status: int = 200
    reason: bytes = b"OK"
    version: bytes = b"HTTP/1.1"
    headers: Headers | None = None
    body: bytes = b""
    kept: bool = True


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that fails the request, which costs the connection."""

    error: type[httpx.TransportError]


REFUSED: Final = Refused(httpx.RemoteProtocolError)

Outcome: TypeAlias = Read | Refused


@dataclass(frozen=True, slots=True)
class Case:
    """An answer, byte for byte.

    Attributes:
        outcome: What a client makes of it.
        hangs_up: Whether the server closes the connection behind the answer.
        by_h11: What a client on h11 makes of it, where the parsers differ.
        by_llhttp: What a client on llhttp makes of it, the parser of httptools.
        why: The reason of that difference.
    """

    name: str
    raw: bytes
    outcome: Outcome
    method: str = "GET"
    hangs_up: bool = False
    by_h11: Outcome | None = None
    by_llhttp: Outcome | None = None
    why: str = ""

    def __str__(self) -> str:
        return self.name


def answer(*lines: bytes, body: bytes = b"", start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    """Return an answer of these header lines."""
    return b"\r\n".join([start, *lines, b"", b""]) + body
