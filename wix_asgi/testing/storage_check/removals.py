"""A removed installation is gone, and a late removal spares a newer installation."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Final

from wix_asgi.storage import Storage
from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.records import (
    APP,
    SITE,
    installed_at,
    put_all,
    read,
    record,
    timeless,
)
from wix_asgi.testing.storage_check.tasks import together, until

__all__ = [
    "test_conditional_deletes_have_one_winner",
    "test_delete",
    "test_delete_of_nothing",
    "test_delete_of_one_site",
    "test_delete_twice",
    "test_deletes_have_one_winner",
    "test_install_again_protects",
    "test_late_removal_spares_a_newer_install",
    "test_moments_of_any_zone",
    "test_refresh_does_not_protect",
    "test_removal_after_the_install",
    "test_removal_long_after",
    "test_removal_long_before",
    "test_removed_site_installs_again",
]

_LATER: Final = timedelta(milliseconds=1)
_ZONES: Final = {
    "UTC": UTC,
    "east": timezone(timedelta(hours=14)),
    "west": timezone(timedelta(hours=-12)),
    "half an hour": timezone(timedelta(hours=5, minutes=30)),
}


async def test_delete(storage: Storage) -> None:
    """A removed installation is gone."""
    await storage.put(record())

    assert await storage.delete(APP, SITE)
    assert await storage.get(APP, SITE) is None
    assert [] == list(await storage.scan(APP))


async def test_delete_of_nothing(storage: Storage) -> None:
    """Removing an installation that does not exist returns False, and is no error."""
    assert not await storage.delete(APP, SITE)
    assert not await storage.delete(APP, SITE, installed_before=datetime.now(UTC))


async def test_delete_twice(storage: Storage) -> None:
    """A second removal of the same installation returns False."""
    await storage.put(record())

    assert await storage.delete(APP, SITE)
    assert not await storage.delete(APP, SITE)


async def test_delete_of_one_site(storage: Storage) -> None:
    """A removal leaves the remaining sites of the app alone."""
    await put_all(storage, "one", "three", "two")

    assert await storage.delete(APP, "two")
    assert ["one", "three"] == [found.instance_id for found in await storage.scan(APP)]


@each(
    "since",
    {
        "the same moment": timedelta(0),
        "a millisecond": _LATER,
        "an hour": timedelta(hours=1),
        "two days": timedelta(days=2),
    },
)
async def test_late_removal_spares_a_newer_install(storage: Storage, since: timedelta) -> None:
    """A removal dated before the install, or at the same moment, removes nothing."""
    await storage.put(record())
    moment = await installed_at(storage) - since

    assert not await storage.delete(APP, SITE, installed_before=moment)
    assert timeless(record()) == timeless(await storage.get(APP, SITE))


@each(
    "after",
    {"a millisecond": _LATER, "an hour": timedelta(hours=1), "two days": timedelta(days=2)},
)
async def test_removal_after_the_install(storage: Storage, after: timedelta) -> None:
    """A removal dated after the install removes the installation."""
    await storage.put(record())
    moment = await installed_at(storage) + after

    assert await storage.delete(APP, SITE, installed_before=moment)
    assert await storage.get(APP, SITE) is None


@each("year", {"1": 1, "1969": 1969, "1970": 1970})
async def test_removal_long_before(storage: Storage, year: int) -> None:
    """A removal dated in the distant past is no error, and removes nothing."""
    await storage.put(record())

    assert not await storage.delete(APP, SITE, installed_before=datetime(year, 1, 1, tzinfo=UTC))
    assert await storage.get(APP, SITE) is not None


@each("year", {"2100": 2100, "9999": 9999})
async def test_removal_long_after(storage: Storage, year: int) -> None:
    """A removal dated in the distant future removes the installation."""
    await storage.put(record())

    assert await storage.delete(APP, SITE, installed_before=datetime(year, 1, 1, tzinfo=UTC))
    assert await storage.get(APP, SITE) is None


@each("zone", _ZONES)
async def test_moments_of_any_zone(storage: Storage, zone: timezone) -> None:
    """A moment means the same in every time zone."""
    await storage.put(record())
    moment = (await installed_at(storage)).astimezone(zone)

    assert not await storage.delete(APP, SITE, installed_before=moment)
    assert await storage.delete(APP, SITE, installed_before=moment + _LATER)


async def test_refresh_does_not_protect(storage: Storage) -> None:
    """A refresh does not count as an install: removals compare the moment of the install."""
    await storage.put(record())
    moment = await installed_at(storage)
    await storage.replace(record(version="version-2"), expected="version-1")

    assert not await storage.delete(APP, SITE, installed_before=moment)
    assert await storage.delete(APP, SITE, installed_before=moment + _LATER)


async def test_install_again_protects(storage: Storage) -> None:
    """A removal dated between two installs spares the second install."""
    await storage.put(record())
    first = await installed_at(storage)

    async def is_later() -> bool:
        await storage.put(record(version="version-2"))
        return await installed_at(storage) > first + _LATER

    await until(is_later)

    assert not await storage.delete(APP, SITE, installed_before=first + _LATER)
    assert "version-2" == (await read(storage)).version


async def test_removed_site_installs_again(storage: Storage) -> None:
    """A removed site can be installed like a new site."""
    await storage.put(record())
    await storage.delete(APP, SITE)
    await storage.put(record(version="version-2"))

    assert ["version-2"] == [found.version for found in await storage.scan(APP)]


async def test_deletes_have_one_winner(storage: Storage) -> None:
    """If ten callers remove an installation at once, exactly one removal returns True."""
    await storage.put(record())
    outcomes = await together(*[partial(storage.delete, APP, SITE) for _ in range(10)])

    assert [False] * 9 + [True] == sorted(outcomes)


async def test_conditional_deletes_have_one_winner(storage: Storage) -> None:
    """If ten callers send a dated removal at once, exactly one removal returns True."""
    await storage.put(record())
    moment = await installed_at(storage) + _LATER
    delete = partial(storage.delete, APP, SITE, installed_before=moment)

    assert [False] * 9 + [True] == sorted(await together(*[delete] * 10))
