"""The cases of a `wix_asgi.storage.CombiningStorage`, for a storage that is one, for pytest."""

# ruff: noqa: F403 # the cases have their names from another module

from __future__ import annotations

from wix_asgi.testing.storage._marks import mark
from wix_asgi.testing.storage_check import combining
from wix_asgi.testing.storage_check.combining import *

__all__: list[str] = []
__all__ += combining.__all__

mark(getattr(combining, name) for name in combining.__all__)
