"""What the cases are given, made from `make_storage`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from wix_asgi.storage import Storage

__all__ = ["anyio_backend", "connections_in_use", "storage"]


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio; a backend that runs on trio too overrides this."""
    return "asyncio"


@pytest.fixture
def connections_in_use() -> Callable[[Storage], int]:
    """Give what counts a storage's connections that are in use; a backend with a pool overrides it.

    The default cannot tell.
    """
    return lambda _storage: 0


@pytest.fixture
async def storage(
    make_storage: Callable[[], Storage], connections_in_use: Callable[[Storage], int]
) -> AsyncIterator[Storage]:
    """Give an open, empty storage; no connection of it is in use when the case has ended."""
    async with make_storage() as opened:
        yield opened
        assert 0 == connections_in_use(opened)
    assert 0 == connections_in_use(opened)
