"""The cases of a `wix_asgi.storage.ClaimReader`, for a storage that is one, as cases for pytest."""

# ruff: noqa: F403 # the cases have their names from another module

from __future__ import annotations

from wix_asgi.testing.storage._marks import mark
from wix_asgi.testing.storage_check import claim_owners
from wix_asgi.testing.storage_check.claim_owners import *

__all__: list[str] = []
__all__ += claim_owners.__all__

mark(getattr(claim_owners, name) for name in claim_owners.__all__)
