"""Purging removes the expired claims, and nothing else.

A call may remove a part of them: the cases call until nothing is left.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import pytest

from wix_asgi.storage import Storage
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi.testing.storage_check.tasks import together, until

__all__ = [
    "test_purge",
    "test_purge_at_once",
    "test_purge_of_many",
    "test_purge_spares_records",
    "test_purge_spares_what_is_held",
    "test_purge_when_seconds_are_over",
    "test_purged_name_is_free",
    "test_release_leaves_nothing_to_purge",
    "test_renewal_is_not_purged",
]

# Names; enough for a store that removes a hundred at once to need several batches.
_MANY: Final = 250


@pytest.mark.anyio
@pytest.mark.parametrize("number", [0, 1, 5])
async def test_purge(storage: Storage, number: int) -> None:
    """Expired names are removed, and counted once."""
    for name in range(number):
        await storage.claim(f"name-{name}", "owner", 0)

    assert number == await _purge_all(storage)
    assert 0 == await storage.purge()


@pytest.mark.anyio
async def test_purge_of_many(storage: Storage) -> None:
    """Calls until one returns 0 remove all expired names, and a name claimed meanwhile is held."""
    names = [f"name-{number}" for number in range(_MANY)]
    await together(*[partial(storage.claim, name, "owner", 0) for name in names])
    removed, claimed, _ = await together(
        partial(_purge_all, storage),
        partial(storage.claim, "meanwhile", "owner", 60),
        partial(storage.claim, names[0], "another", 60),
    )

    assert claimed
    assert _MANY - 1 <= removed <= _MANY
    assert 0 == await storage.purge()
    assert not await storage.claim("meanwhile", "other", 60)
    assert not await storage.claim(names[0], "other", 60)


@pytest.mark.anyio
async def test_purge_spares_what_is_held(storage: Storage) -> None:
    """A held name stays with its owner while expired names are removed."""
    await storage.claim("over", "owner", 0)
    await storage.claim("held", "owner", 60)

    assert 1 == await _purge_all(storage)
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
    await _purge_all(storage)

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
    await _purge_all(storage)

    assert await storage.get(APP, SITE) is not None


@pytest.mark.anyio
async def test_purge_at_once(storage: Storage) -> None:
    """If ten callers purge at once, each counts only the names that it removed itself."""
    for name in range(5):
        await storage.claim(f"name-{name}", "owner", 0)
    purged = await together(*[partial(_purge_all, storage)] * 10)

    assert 5 == sum(purged)


async def _purge_all(storage: Storage) -> int:
    """Purge until nothing is left, and return the number of names that were removed."""
    total = 0
    while removed := await storage.purge():
        total += removed
    return total
