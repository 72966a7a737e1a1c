"""The cases of a `wix_asgi.storage.AddingStorage`, for a storage that is one, for pytest."""

# ruff: noqa: F403 # the cases have their names from another module

from __future__ import annotations

from wix_asgi.testing.storage._marks import mark
from wix_asgi.testing.storage_check import adding
from wix_asgi.testing.storage_check.adding import *

__all__: list[str] = []
__all__ += adding.__all__

mark(getattr(adding, name) for name in adding.__all__)
