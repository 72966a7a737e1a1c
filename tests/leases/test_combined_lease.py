"""Leases in a storage that takes two steps at once."""

from __future__ import annotations

import pytest

from tests.engine import ManualClock, Steps, make_lease
from wix_asgi.leases.lease import RowVersion
from wix_asgi.testing.storage_check.records import APP, SITE, record
from wix_asgi_backends.memory import MemoryStorage

NAME = "refresh:app:site"
TTL = 2.0
ROW = RowVersion(APP, SITE, "version-1")


class Releases(MemoryStorage):
    """A storage that counts the releases that were asked for alone."""

    released = 0

    async def release(self, name: str, owner: str) -> None:
        self.released += 1
        await super().release(name, owner)


@pytest.mark.parametrize(("version", "is_taken"), [("version-1", True), ("version-2", False)])
async def test_lease_of_a_row(clock: ManualClock, version: str, is_taken: bool) -> None:
    """A lease on a row is got while the row has the version that was read."""
    combining = MemoryStorage(clock=clock)
    await combining.put(record(version=version))
    lease = make_lease(combining, NAME, ttl=TTL, clock=clock)

    assert is_taken == await lease.take(ROW)
    assert is_taken == lease.is_of_row


async def test_lease_of_a_row_elsewhere(storage: Steps, clock: ManualClock) -> None:
    """In a storage that combines nothing the lease is got, and the row is to be read again."""
    await storage.put(record(version="version-2"))
    lease = make_lease(storage, NAME, ttl=TTL, clock=clock)

    assert await lease.take(ROW)
    assert not lease.is_of_row


async def test_lease_without_a_row(clock: ManualClock) -> None:
    """A lease on no row is one of none, also where it was one of a row before."""
    combining = MemoryStorage(clock=clock)
    await combining.put(record())
    lease = make_lease(combining, NAME, ttl=TTL, clock=clock)
    await lease.take(ROW)

    assert await lease.take()
    assert not lease.is_of_row


async def test_renewal_after_the_row_has_changed(clock: ManualClock) -> None:
    """A lease on a row is renewed whatever has become of the row."""
    combining = MemoryStorage(clock=clock)
    await combining.put(record())
    lease = make_lease(combining, NAME, ttl=TTL, clock=clock)
    await lease.take(ROW)
    await combining.put(record(version="version-2"))
    clock.advance(TTL / 2)
    await lease.renew()

    assert lease.seconds_left == pytest.approx(TTL)


async def test_replacement_frees_the_lease(clock: ManualClock) -> None:
    """A lease that was freed with the replacement of its row is not given back again."""
    combining = Releases(clock=clock)
    await combining.put(record())
    lease = make_lease(combining, NAME, ttl=TTL, clock=clock)
    await lease.take(ROW)
    is_written = await lease.replace(record(version="version-2"), expected="version-1")
    is_free = await combining.claim(NAME, "another", TTL)
    await lease.give_back()

    assert is_written
    assert is_free
    assert 0 == combining.released


async def test_replacement_of_another_version_keeps_the_lease(clock: ManualClock) -> None:
    """A holder whose row has changed still has the lease, under which it replaces the row again."""
    combining = Releases(clock=clock)
    await combining.put(record(version="version-2"))
    lease = make_lease(combining, NAME, ttl=TTL, clock=clock)
    await lease.take()
    is_written = await lease.replace(record(version="version-3"), expected="version-1")
    is_free = await combining.claim(NAME, "another", TTL)
    await lease.give_back()

    assert not is_written
    assert not is_free
    assert 1 == combining.released


async def test_renewal_beside_the_replacement(clock: ManualClock) -> None:
    """A lease that was renewed after the replacement is given back."""
    combining = Releases(clock=clock)
    await combining.put(record())
    lease = make_lease(combining, NAME, ttl=TTL, clock=clock)
    await lease.take(ROW)
    await lease.replace(record(version="version-2"), expected="version-1")
    clock.advance(TTL / 2)
    await lease.renew()
    await lease.give_back()

    assert 1 == combining.released
    assert await combining.claim(NAME, "another", TTL)


async def test_replacement_elsewhere(storage: Steps, clock: ManualClock) -> None:
    """In a storage that combines nothing the lease is held until it is given back."""
    await storage.put(record())
    lease = make_lease(storage, NAME, ttl=TTL, clock=clock)
    await lease.take()
    is_written = await lease.replace(record(version="version-2"), expected="version-1")
    is_free = await storage.claim(NAME, "another", TTL)
    await lease.give_back()

    assert is_written
    assert not is_free
    assert await storage.claim(NAME, "another", TTL)
