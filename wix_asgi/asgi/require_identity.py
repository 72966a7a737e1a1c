"""The paths that need an identity: a path is protected where any reading of it is (R58).

Servers, proxies, mounts, routers and file servers read one path in many ways: decoded or not, with
the slashes and dots folded or not, below a mount or not. A guard that reads it in one way is passed
by a spelling that the code behind it reads in another. Therefore the contrary of the rule for our
own paths holds here: whichever reading lies below a prefix protects the path. A path that is read
as protected by mistake costs its caller a proof.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import unquote

from starlette.types import Scope

from wix_asgi.asgi.request_headers import bounded_headers
from wix_asgi.errors import SettingsError

__all__ = ["ProtectedPaths", "is_preflight", "protected_paths"]

_PREFIX: Final = re.compile(r"/(?:[\w.~!$&'()*+,=:@-]+/?)*")
_PLAIN: Final = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+/?")
"""A path that has one reading, where no mount is named."""

_PARAMETERS: Final = re.compile(r"[;?# ][^/]*")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
"""Characters that no honest path has, and that some parsers drop (WHATWG URL, 4.4) or stop at."""

_AUTHORITY: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//[^/]*|[^/]+")
"""Before the path of a target in absolute form, or a part taken for it (RFC 9112, 3.2.2)."""

_MAX_PATH: Final = 2048
"""Characters of a path that is read; a longer one is protected.

Browsers and proxies have taken 2,000 for the longest address. The worst path of this length took
3 ms to be read.
"""

_MAX_DECODINGS: Final = 4
"""How often a path is decoded. A server decodes it once, a proxy and a file server once more each;
a path that is not plain after that is protected."""


def protected_paths(given: Any, app: Any) -> ProtectedPaths | None:
    """Return the paths of `require_identity` as it was given; None where it protects nothing.

    `app` is the app behind: the FastAPI app among its layers may have a `root_path` of its own.

    Raises:
        SettingsError: It is neither a boolean nor a list of paths.
    """
    if given is None or given is False:
        return None
    prefixes = ("/",) if given is True else _read_prefixes(given)
    return ProtectedPaths(prefixes, _own_roots(app))


def is_preflight(scope: Scope) -> bool:
    """Return whether a browser asks for permission to send a request, which has no proof yet.

    Fetch Standard, "CORS-preflight request".
    """
    return scope.get("method") == "OPTIONS" and any(
        name == b"access-control-request-method" for name, _ in bounded_headers(scope["headers"])
    )


class ProtectedPaths:
    """The paths at or below some prefixes, in any spelling; immutable."""

    def __init__(self, prefixes: Iterable[str], roots: Iterable[str] = ()) -> None:
        """Protect these prefixes; `roots` are mounts besides the `root_path` of a scope."""
        self._prefixes = [_segments(prefix.casefold()) for prefix in prefixes]
        self._roots = _mounts(roots)

    def has(self, scope: Scope) -> bool:
        """Return whether the path of a request or websocket is protected in any reading."""
        texts = [scope["path"]]
        raw = scope.get("raw_path")
        if raw is not None:
            texts.append(raw.partition(b"?")[0].decode("latin-1"))
        if max(map(len, texts)) > _MAX_PATH:
            return True
        roots = self._roots | _mounts([scope.get("root_path") or ""])
        if not roots and texts[0] == texts[-1] and _PLAIN.fullmatch(texts[0]):
            return self._protects(_segments(texts[0].casefold()))
        decoded = [_decodings(text) for text in [*texts, *roots]]
        if not all(decoded):
            return True
        paths, mounts = (
            {text.casefold() for group in groups for text in group}
            for groups in (decoded[: len(texts)], decoded[len(texts) :])
        )
        if any(map(_CONTROLS.search, paths)):
            return True
        readings = _without_mounts(paths, mounts) | {
            mount + path for mount in mounts for path in paths
        }
        return any(
            self._protects(segments) for reading in readings for segments in _foldings(reading)
        )

    def _protects(self, segments: list[str]) -> bool:
        return any(segments[: len(prefix)] == prefix for prefix in self._prefixes)


def _read_prefixes(given: Any) -> tuple[str, ...]:
    if isinstance(given, list | tuple | set | frozenset) and given and all(map(_is_prefix, given)):
        return tuple(given)
    raise SettingsError(
        "require_identity must be True, or a list of paths that begin with / and have plain "
        'segments, such as ["/api"].'
    )


def _is_prefix(value: Any) -> bool:
    return (
        isinstance(value, str)
        and _PREFIX.fullmatch(value) is not None
        and {".", ".."}.isdisjoint(value.split("/"))
    )


def _own_roots(app: Any) -> set[str]:
    """Return the `root_path` of the FastAPI app that `app` is or wraps, which no scope names yet.

    Layers are found by `app`, as Starlette and most others name the app that they wrap.
    """
    roots: set[str] = set()
    seen: dict[int, Any] = {}
    left = [app]
    while left:
        app = left.pop()
        if app is None or id(app) in seen:
            continue
        seen[id(app)] = app
        root = getattr(app, "root_path", None)
        if isinstance(root, str):
            roots.add(root)
        left.append(getattr(app, "app", None))
        routes = getattr(app, "routes", None)
        if isinstance(routes, list):
            left.extend(routes)
    return roots


def _mounts(roots: Iterable[str]) -> frozenset[str]:
    return frozenset(root.rstrip("/") for root in roots) - {""}


def _decodings(text: str) -> list[str]:
    """Return `text`, then itself decoded again and again; nothing where that comes to no end."""
    found = [text]
    for _ in range(_MAX_DECODINGS):
        decoded = unquote(found[-1])
        if decoded == found[-1]:
            return found
        found.append(decoded)
    return found if unquote(found[-1]) == found[-1] else []


def _without_mounts(paths: set[str], mounts: set[str]) -> set[str]:
    """Return the paths, and their rests after the first and the last place of a mount.

    Starlette takes a mount away at the beginning, Litestar wherever it is.
    """
    found = set(paths)
    for mount in mounts:
        for path in paths:
            if mount in path:
                found |= {path.partition(mount)[2], path.rpartition(mount)[2]}
    return found


def _foldings(path: str) -> Iterator[list[str]]:
    """Yield the segments of a path, its slashes and dots folded in either order."""
    for slashed in {path, path.replace("\\", "/")}:
        authority = _AUTHORITY.match(slashed)
        for text in {slashed, slashed[authority.end() :] if authority else slashed}:
            for plain in {text, _PARAMETERS.sub("", text)}:
                yield _segments(plain)
                yield _fold(_segments(plain))
                yield [segment for segment in _fold(plain.split("/")) if segment]


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]


def _fold(segments: list[str]) -> list[str]:
    """Return the segments without dots (RFC 3986, 5.2.4)."""
    folded: list[str] = []
    for segment in segments:
        if segment == "..":
            del folded[-1:]
        elif segment != ".":
            folded.append(segment)
    return folded
