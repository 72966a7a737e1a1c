"""The storage in memory keeps the contract, on both event loops."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wix_asgi.storage import Storage
from wix_asgi.testing.storage import *
from wix_asgi.testing.storage.adding import *
from wix_asgi.testing.storage.claim_owners import *
from wix_asgi.testing.storage.combining import *
from wix_asgi.testing.storage.events import *
from wix_asgi.testing.storage.restoring import *
from wix_asgi_backends.memory import MemoryStorage


@pytest.fixture(params=["asyncio", "trio"])  # type: ignore[no-redef] # users of the suite override its defaults in this way
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops."""
    loop: str = request.param
    return loop


@pytest.fixture
def make_storage() -> Callable[[], Storage]:
    """Return a function that always returns the same storage: no other storage sees its records."""
    storage = MemoryStorage()
    return lambda: storage
