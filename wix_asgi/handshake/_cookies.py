"""The cookies of a request that are ours, read without those that are not."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Cookies", "read_cookies"]


class Cookies(dict[str, list[str]]):
    """Values by name, of which a browser may send several; they are out of its repr."""

    def __repr__(self) -> str:
        return f"<Cookies of {len(self)}>"


def read_cookies(headers: Iterable[tuple[bytes, bytes]], prefix: str) -> Cookies:
    """Return the cookies whose names begin with `prefix`, in the order they were sent.

    Ours are never quoted, and values are not unquoted: `http.cookies` takes a time for that which
    grows with the square of their length (CVE-2024-7592), whosever cookies they are.
    """
    found = Cookies()
    for header, line in headers:
        if header == b"cookie":
            for pair in line.split(b";"):
                # No other white space: browsers let it stand before `__Host-`, where any host of
                # the domain may then set the cookie.
                name, _, value = pair.strip(b" \t").partition(b"=")
                if name.startswith(prefix.encode()):
                    found.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
    return found
