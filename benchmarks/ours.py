"""The Wix that is measured."""

from __future__ import annotations

from typing import Any

from benchmarks.upstream import APP, SECRET
from wix_asgi import Wix

__all__ = ["make_wix"]


def make_wix(storage: str = "memory://", **options: Any) -> Wix:
    """Return a Wix over this storage; `options` are further ones of its own."""
    return Wix(
        app_id=APP,
        app_secret=SECRET,
        public_url="https://app.example.com",
        storage=storage,
        **options,
    )
