"""The cases of a `wix_asgi.storage.RestoringStorage`, for a storage that is one, for pytest."""

# ruff: noqa: F403 # the cases have their names from another module

from __future__ import annotations

from wix_asgi.testing.storage._marks import mark
from wix_asgi.testing.storage_check import restoring
from wix_asgi.testing.storage_check.restoring import *

__all__: list[str] = []
__all__ += restoring.__all__

mark(getattr(restoring, name) for name in restoring.__all__)
