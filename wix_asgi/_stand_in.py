"""The Wix of a test, which every `Wix` of the process uses in place of the real one.

Nothing is in place outside of tests: `FakeWix.active` puts itself in place for a `with` block.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

from wix_asgi._wix_options import WixOptions
from wix_asgi.concurrency.closers import Closers
from wix_asgi.concurrency.detached import DetachedTasks
from wix_asgi.errors import SettingsError
from wix_asgi.storage import Storage

__all__ = [
    "StandIn",
    "close_with_stand_in",
    "current",
    "in_place",
    "note_closed",
    "refuse_outsider",
]

_PUBLIC_URL = "WIX_PUBLIC_URL"

_CLOSE_SECONDS: Final = 20.0
"""Seconds that the end of a block waits for its apps, as the end of a process does (`portal`)."""


class _Closable(Protocol):
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class StandIn:
    """The keywords by which a `Wix` uses the Wix of a test, and nothing of the real one.

    Attributes:
        keywords: They win over the app's own keywords and over the environment. A `Storage` object
            of the app stays: only code that runs in the test can have made it.
        public_url: The public URL of an app that has none.
        apps: The apps that are open, which close with the end of the block.
    """

    keywords: Mapping[str, Any]
    public_url: str
    apps: Closers = field(default_factory=Closers, compare=False)

    def fill(self, options: WixOptions) -> None:
        """Change the keywords of a `Wix` into those under which it uses the Wix of the test."""
        storage = options.get("storage")
        options.update(cast("WixOptions", self.keywords))
        if isinstance(storage, Storage):
            options["storage"] = storage
        if options.get("public_url") is None and not os.environ.get(_PUBLIC_URL, "").strip():
            options["public_url"] = self.public_url


_in_place: Final[list[StandIn]] = []
"""The innermost last; for the whole process, as the environment is."""


def current() -> StandIn | None:
    """Return the Wix of a test that is in place now, in any thread; None in production."""
    return _in_place[-1] if _in_place else None


@contextlib.contextmanager
def in_place(stand_in: StandIn) -> Iterator[None]:
    """Put the Wix of a test in place for a block; an inner block wins until its end.

    At the end the apps that were opened in the block are closed (`Closers.close`).
    """
    _in_place.append(stand_in)
    try:
        yield
    finally:
        try:
            stand_in.apps.close(_CLOSE_SECONDS)
        finally:
            _in_place.pop()


def close_with_stand_in(
    made_under: StandIn | None, app: _Closable, detached: DetachedTasks, *, grace: float
) -> None:
    """Close `app` with the block that it was opened in, as far as it uses the running event loop.

    Its `detached` tasks end there, too, up to `grace` seconds later. An app that was made outside
    of all blocks stays its owner's to close.
    """
    if made_under is None:
        return
    blocks = [block for block in _in_place if app in block.apps] or _in_place[-1:]

    async def close() -> None:
        await app.aclose()
        # Another event loop may have closed the app, which ends no tasks of this one.
        await detached.aclose(grace)

    for block in blocks[:1]:
        block.apps.add(app, close)


def note_closed(app: _Closable) -> None:
    """Leave the running event loop out when the block of `app` ends: it is closed there."""
    for block in _in_place:
        block.apps.discard(app)


def refuse_outsider(made_under: StandIn | None, *, is_real: bool) -> None:
    """Refuse a `Wix` that would reach past the Wix of the test that is in place.

    Args:
        made_under: The stand-in that was in place when the `Wix` was made.
        is_real: Whether it has connections of its own, rather than a transport of a test.

    Raises:
        SettingsError: It was made outside, or under another stand-in.
    """
    if not _in_place or made_under == current():
        return
    if made_under is not None:
        raise SettingsError(
            "This Wix was made under a FakeWix with another app ID, secret, key, URL or storage. "
            "Build the app anew for this one, in the test or in a fixture."
        )
    if is_real:
        raise SettingsError(
            "This Wix was made before FakeWix.active() began, so it would call the real Wix and "
            "write to its real storage. Build the app inside of the block, in the test or in a "
            "fixture that asks for fake_wix; add_middleware(WixMiddleware) does so by itself."
        )
