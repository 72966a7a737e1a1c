"""The Wix of a test, which every `Wix` of the process uses in place of the real one.

Nothing is in place outside of tests: `FakeWix.active` puts itself in place for a `with` block.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from wix_asgi._wix_options import WixOptions
from wix_asgi.errors import SettingsError
from wix_asgi.storage import Storage

__all__ = ["StandIn", "current", "in_place", "refuse_outsider"]

_PUBLIC_URL = "WIX_PUBLIC_URL"


@dataclass(frozen=True, slots=True)
class StandIn:
    """The keywords by which a `Wix` uses the Wix of a test, and nothing of the real one.

    Attributes:
        keywords: They win over the app's own keywords and over the environment. A `Storage` object
            of the app stays: only code that runs in the test can have made it.
        public_url: The public URL of an app that has none.
    """

    keywords: Mapping[str, Any]
    public_url: str

    def fill(self, options: WixOptions) -> None:
        """Change the keywords of a `Wix` into those under which it uses the Wix of the test."""
        storage = options.get("storage")
        options.update(cast("WixOptions", self.keywords))
        if isinstance(storage, Storage):
            options["storage"] = storage
        if options.get("public_url") is None and not os.environ.get(_PUBLIC_URL, "").strip():
            options["public_url"] = self.public_url


_in_place: StandIn | None = None


def current() -> StandIn | None:
    """Return the Wix of a test that is in place now, in any thread; None in production."""
    return _in_place


@contextlib.contextmanager
def in_place(stand_in: StandIn) -> Iterator[None]:
    """Put the Wix of a test in place for a block; an inner block wins until its end."""
    global _in_place  # noqa: PLW0603 - one for the process, as the environment is
    before, _in_place = _in_place, stand_in
    try:
        yield
    finally:
        _in_place = before


def refuse_outsider(made_under: StandIn | None, *, is_real: bool) -> None:
    """Refuse a `Wix` that would reach past the Wix of the test that is in place.

    Args:
        made_under: The stand-in that was in place when the `Wix` was made.
        is_real: Whether it has connections of its own, rather than a transport of a test.

    Raises:
        SettingsError: It was made outside, or under another stand-in.
    """
    if _in_place is None or made_under == _in_place:
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
