"""Our own cookies in a request, read without parsing the app's."""

from __future__ import annotations

from collections.abc import Iterable

from wix_asgi.handshake._hidden_values import HiddenValues

__all__ = ["Cookies", "read_cookies"]


class Cookies(HiddenValues[list[str]]):
    """Values by name, since a browser may send several; they are out of its repr."""

    __slots__ = ()


def read_cookies(headers: Iterable[tuple[bytes, bytes]], prefix: str) -> Cookies:
    """Return the cookies whose names begin with `prefix`, in the order they were sent.

    Ours are never quoted, so no value is unquoted: `http.cookies` takes a time for a quoted value
    that grows with the square of its length (CVE-2024-7592), and parses the cookies of the app and
    of its neighbours as well.
    """
    found: dict[str, list[str]] = {}
    for header, line in headers:
        if header == b"cookie":
            for pair in line.split(b";"):
                # No other white space: browsers let it stand before `__Host-`, where any host of
                # the domain may then set the cookie.
                name, _, value = pair.strip(b" \t").partition(b"=")
                if name.startswith(prefix.encode()):
                    found.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return Cookies(found)
