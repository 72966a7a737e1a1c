"""Purging removes the expired claims, and nothing else."""

from __future__ import annotations

import pytest

from wix_asgi.storage import Storage
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi.testing.storage_check.tasks import together, until

__all__ = [
    "test_purge",
    "test_purge_at_once",
    "test_purge_spares_records",
    "test_purge_spares_what_is_held",
    "test_purge_when_seconds_are_over",
    "test_purged_name_is_free",
    "test_release_leaves_nothing_to_purge",
    "test_renewal_is_not_purged",
]


@pytest.mark.anyio
@pytest.mark.parametrize("number", [0, 1, 5])
async def test_purge(storage: Storage, number: int) -> None:
    """Expired names are removed, and counted once."""
    for name in range(number):
        await storage.claim(f"name-{name}", "owner", 0)

    assert number == await storage.purge()
    assert 0 == await storage.purge()


@pytest.mark.anyio
async def test_purge_spares_what_is_held(storage: Storage) -> None:
    """A held name stays with its owner while expired names are removed."""
    await storage.claim("over", "owner", 0)
    await storage.claim("held", "owner", 60)

    assert 1 == await storage.purge()
    assert not await storage.claim("held", "other", 60)


@pytest.mark.anyio
async def test_purge_when_seconds_are_over(storage: Storage) -> None:
    """A name may be purged from the moment on at which it is free by the store's clock."""
    await storage.claim("name", "owner", 0.05)

    async def is_purged() -> bool:
        return await storage.purge() == 1

    await until(is_purged)

    assert await storage.claim("name", "other", 60)


@pytest.mark.anyio
async def test_renewal_is_not_purged(storage: Storage) -> None:
    """An expired name that was claimed again is held, and not purged."""
    await storage.claim("name", "owner", 0)
    await storage.claim("name", "owner", 60)

    assert 0 == await storage.purge()
    assert not await storage.claim("name", "other", 60)


@pytest.mark.anyio
async def test_purged_name_is_free(storage: Storage) -> None:
    """A purged name can be claimed like a new name."""
    await storage.claim("name", "owner", 0)
    await storage.purge()

    assert await storage.claim("name", "other", 60)
    assert not await storage.claim("name", "owner", 60)


@pytest.mark.anyio
async def test_release_leaves_nothing_to_purge(storage: Storage) -> None:
    """A released name is gone, so that a store does not grow with every claim."""
    await storage.claim("name", "owner", 60)
    await storage.release("name", "owner")

    assert 0 == await storage.purge()


@pytest.mark.anyio
async def test_purge_spares_records(storage: Storage) -> None:
    """Installations are never purged, however old their tokens are."""
    await storage.put(record(access_token=None, expires_in=-1e6, retry_in=-1e6))
    await storage.purge()

    assert await storage.get(APP, SITE) is not None


@pytest.mark.anyio
async def test_purge_at_once(storage: Storage) -> None:
    """If ten callers purge at once, each counts only the names that it removed itself."""
    for name in range(5):
        await storage.claim(f"name-{name}", "owner", 0)

    assert 5 == sum(await together(*[storage.purge] * 10))
