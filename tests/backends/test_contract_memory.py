"""The storage in memory keeps the contract, on both event loops."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wix_asgi.storage import Storage
from wix_asgi.testing.storage import *
from wix_asgi_backends.memory import MemoryStorage


@pytest.fixture(params=["asyncio", "trio"])  # type: ignore[no-redef] # the kit has its users override its defaults so
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run on both event loops."""
    loop: str = request.param
    return loop


@pytest.fixture
def make_storage() -> Callable[[], Storage]:
    """Give the one storage: nobody else sees what it holds."""
    storage = MemoryStorage()
    return lambda: storage
