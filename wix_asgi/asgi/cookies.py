"""Our own cookies in a request, read within bounds and without parsing the app's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from wix_asgi.asgi.hidden_values import HiddenValues
from wix_asgi.asgi.request_headers import bounded_headers

__all__ = ["COOKIE_ATTRIBUTES", "Cookies", "read_cookies"]

COOKIE_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=None; Partitioned"
"""The attributes of our cookies; with them a name may begin with `__Host-`.

Wix shows apps in iframes of its own: there a browser takes and sends only a cookie that is
`SameSite=None`, which has to be `Partitioned` where it takes no third-party cookies. By hand, since
Python's http.cookies cannot write Partitioned before 3.14.
"""

_MAX_BYTES: Final = 256 * 1024
"""Bytes of the Cookie headers that are searched, which takes under a millisecond (measured).

Servers and proxies take 8 to 64 kB of headers, if they have a bound. A cookie behind these bytes is
not found: its flow is refused as another browser's, and its session is none.
"""

_MAX_PAIRS: Final = 256
"""Pairs with our prefix that are read, a microsecond each; a browser has sixteen at most."""


class Cookies(HiddenValues[list[str]]):
    """Values by name, since a browser may send several; they are out of its repr."""

    __slots__ = ()


def read_cookies(headers: Iterable[tuple[bytes, bytes]], prefix: str) -> Cookies:
    """Return the cookies whose names begin with `prefix`, in the order they were sent.

    Ours are never quoted, so no value is unquoted: `http.cookies` takes a time for a quoted value
    that grows with the square of its length (CVE-2024-7592), and parses the cookies of the app and
    of its neighbours as well. Only the beginning of very many cookies is read (R51).
    """
    found: dict[str, list[str]] = {}
    for pair in islice(_pairs_with(prefix.encode(), headers), _MAX_PAIRS):
        # No other white space: browsers let it stand before `__Host-`, where any host of the domain
        # may then set the cookie.
        name, _, value = pair.strip(b" \t").partition(b"=")
        if name.startswith(prefix.encode()):
            found.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return Cookies(found)


def _pairs_with(text: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[bytes]:
    """Find the pairs in which `text` occurs: all foreign pairs are passed by one search."""
    room = _MAX_BYTES
    for header, line in bounded_headers(headers):
        if header != b"cookie":
            continue
        searched = line[:room]
        room -= len(searched)
        end = -1
        while (found := searched.find(text, end + 1)) >= 0:
            start = searched.rfind(b";", end + 1, found) + 1 or end + 1
            end = searched.find(b";", found)
            if end < 0:
                end = len(searched)
            yield searched[start:end]
