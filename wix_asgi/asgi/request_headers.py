"""The headers of a request, read within bounds: anybody can send them at any size (R51).

Servers bound the headers of a request between 8 kB and not at all, so that a step of ours for each
byte or each header would hold up every other request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from starlette.types import Scope

__all__ = ["bounded_headers", "read_headers"]

_MAX_HEADERS: Final = 1000
"""Headers of a request that are looked at, which takes under 0.1 ms.

A browser sends about thirty, and over HTTP/2 one more for each of its cookies; it keeps about 180
for a domain (Chromium, `kDomainMaxCookies`).
"""

_MAX_VALUE: Final = 1024
"""Bytes of a value that are read. Browsers send under 300 in `User-Agent` and `Accept`."""


def bounded_headers(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Return the first thousand of the headers of a scope; their values are whole."""
    return islice(headers, _MAX_HEADERS)


def read_headers(scope: Scope, *names: bytes) -> list[str]:
    """Return the beginnings of these headers, 1 kB at most of each; a missing header is empty.

    Names are in lower case, as in a scope (ASGI). Of several headers of a name, the first counts.
    """
    found: dict[bytes, str] = {}
    for name, value in bounded_headers(scope["headers"]):
        if name in names and name not in found:
            found[name] = value[:_MAX_VALUE].decode("latin-1")
    return [found.get(name, "") for name in names]
