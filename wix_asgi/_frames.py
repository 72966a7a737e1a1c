"""Dropping the frames of errors, in whose local variables tokens, codes and passwords may be.

Error trackers and tracebacks with locals show the frames of an error and of the errors that led to
it. There is one way of hiding each part of them, and it is here.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Final, TypeVar

__all__ = ["without_frames", "without_locals", "without_our_frames"]

E = TypeVar("E", bound=BaseException)

_OURS: Final = frozenset({"wix_asgi", "wix_asgi_backends"})
"""The packages whose frames leave every error that goes out."""

_DOOR: Final = "wix_asgi.concurrency.app_calls"
"""The module through which the app's own functions are called: the frames below are the app's."""


def without_frames(exc: E, *, until: BaseException | None = None) -> E:
    """Drop the frames of `exc` and of the errors that led to it, and return it.

    Frames hold local variables, and error trackers show these. Where they may be tokens, codes or
    passwords, the errors keep their messages only. The frames that `exc` passes from here on are
    recorded as usual. `until` is the error of the app that was being handled before: it and its
    own history stay as they are.
    """
    for link, _ in _history(exc, until):
        link.__traceback__ = None
    return exc


def without_our_frames(exc: E, *, until: BaseException | None = None) -> E:
    """Drop the frames of wix-asgi from `exc` and from its history, and return it.

    For errors that go out to the app: its own frames, and those of libraries, stay. `until` is
    the same as for `without_frames`.
    """
    for link, _ in _history(exc, until):
        _drop_our_frames(link)
    return exc


def without_locals(exc: E) -> E:
    """Drop the frames of wix-asgi, and the locals of all others but the app's.

    For unexpected errors: a driver's or an HTTP library's frames hold passwords and tokens, so
    that only their lines stay. The frames of the app's own hooks stay as they are. The places of
    the dropped frames become a note of the error, so that the bug can be found.
    """
    for link, is_of_app in _history(exc, None):
        places = _drop_our_frames(link)
        if is_of_app:
            continue
        traceback.clear_frames(link.__traceback__)
        if places:
            note = f"Raised through wix_asgi: {', '.join(places)}"
            if note not in getattr(link, "__notes__", ()):
                link.add_note(note)
    return exc


def _history(
    exc: BaseException, until: BaseException | None
) -> Iterator[tuple[BaseException, bool]]:
    """Yield `exc` and the errors that led to it, and whether each was raised by a hook."""
    seen = {id(until)}
    links: list[tuple[BaseException | None, bool]] = [(exc, False)]
    while links:
        link, is_of_app = links.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        # Before the frames are dropped, by which it is told.
        is_of_app = is_of_app or any(_module(entry) == _DOOR for entry in _entries(link))
        further = link.exceptions if isinstance(link, BaseExceptionGroup) else ()
        following = (link.__cause__, link.__context__, *further)
        yield link, is_of_app
        links += [(each, is_of_app) for each in following]


def _drop_our_frames(exc: BaseException) -> list[str]:
    """Drop the frames of wix-asgi from the traceback of `exc`; return their places."""
    places: list[str] = []
    kept = None
    for entry in reversed(_entries(exc)):
        if _module(entry).partition(".")[0] in _OURS:
            places.append(f"{_module(entry)}:{entry.tb_lineno}")
        else:
            entry.tb_next = kept
            kept = entry
    exc.__traceback__ = kept
    return places[::-1]


def _entries(exc: BaseException) -> list[TracebackType]:
    entries = []
    entry = exc.__traceback__
    while entry is not None:
        entries.append(entry)
        entry = entry.tb_next
    return entries


def _module(entry: TracebackType) -> str:
    return str(entry.tb_frame.f_globals.get("__name__", ""))
