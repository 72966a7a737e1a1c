"""The fixtures of the cases, made from the author's `make_storage`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from wix_asgi.storage import Storage

__all__ = ["anyio_backend", "connections_in_use", "storage"]


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio; a backend that supports trio, too, overrides this fixture."""
    return "asyncio"


@pytest.fixture
def connections_in_use() -> Callable[[Storage], int]:
    """Return a function that counts a storage's connections in use; pools override this fixture.

    The default always counts none.
    """
    return lambda _storage: 0


@pytest.fixture
async def storage(
    make_storage: Callable[[], Storage], connections_in_use: Callable[[Storage], int]
) -> AsyncIterator[Storage]:
    """Yield an open, empty storage; after the case none of its connections may be in use."""
    async with make_storage() as opened:
        yield opened
        assert 0 == connections_in_use(opened)
    assert 0 == connections_in_use(opened)
