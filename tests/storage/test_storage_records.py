"""The contract: records are read as they were written, and written by one of many at a time."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from tests.storage.records import APP, SITE, record, until
from wix_asgi.models import Record
from wix_asgi.storage import Storage

LATER = timedelta(milliseconds=1)


def timeless(stored: Record | None) -> Record | None:
    """Return a record without what changes as time goes by."""
    return stored and replace(stored, expires_in=0, retry_in=0, installed_at=None)


async def installed_at(storage: Storage, instance_id: str = SITE) -> datetime:
    """Return when the site was installed by the store's clock."""
    stored = await storage.get(APP, instance_id)
    assert stored is not None
    assert stored.installed_at is not None
    return stored.installed_at


async def test_is_a_storage(storage: Storage) -> None:
    """Every backend has what the protocol asks for."""
    assert isinstance(storage, Storage)


async def test_nothing_stored(storage: Storage) -> None:
    """An empty store has no record."""
    assert await storage.get(APP, SITE) is None


async def test_round_trip(storage: Storage) -> None:
    """A record is read as it was written, with the seconds it has left."""
    written = record(lifetime=14400.57, expires_in=240.0, failure="refused", retry_in=30.0)
    await storage.put(written)
    stored = await storage.get(APP, SITE)

    assert timeless(stored) == timeless(written)
    assert stored is not None
    assert 200 < stored.expires_in <= 240
    assert 0 < stored.retry_in <= 30


async def test_round_trip_of_the_least(storage: Storage) -> None:
    """A record without an access token and with times that are over is read as it was written."""
    written = record(access_token=None, lifetime=0.0, expires_in=-5.0, refresh_token=b"")
    await storage.put(written)
    stored = await storage.get(APP, SITE)

    assert timeless(stored) == timeless(written)
    assert stored is not None
    assert stored.expires_in <= -5
    assert stored.retry_in <= 0


async def test_round_trip_of_long_values(storage: Storage) -> None:
    """Tokens of 20 kB of any bytes fit."""
    token = bytes(range(256)) * 80
    await storage.put(record(refresh_token=token, access_token=token))
    stored = await storage.get(APP, SITE)

    assert stored is not None
    assert (stored.refresh_token, stored.access_token) == (token, token)


async def test_installed_now(storage: Storage) -> None:
    """The moment of an installation is that of its writing, in UTC, whatever the record says."""
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    await storage.put(record(installed_at=long_ago))
    moment = await installed_at(storage)

    assert moment.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)


LOOKALIKES = [
    "site",
    "Site",
    "SITE",
    "site ",
    " site",
    "s\u0131te",
    unicodedata.normalize("NFC", "s\u00eete"),
    unicodedata.normalize("NFD", "s\u00eete"),
    "\u0000",
    "a\u0000b",
    "\U0001f600",
    "\ud800",
    "%",
    "_",
    "'; DROP TABLE wix_installations; --",
    "x" * 2000,
]


async def test_ids_are_exact(storage: Storage) -> None:
    """Ids that differ in case, Unicode form or anything else are different ids."""
    for number, instance_id in enumerate(LOOKALIKES):
        await storage.put(record(instance_id, f"version-{number}"))
    found = [await storage.get(APP, instance_id) for instance_id in LOOKALIKES]

    assert [stored and stored.instance_id for stored in found] == LOOKALIKES
    assert [stored and stored.version for stored in found] == [
        f"version-{number}" for number in range(len(LOOKALIKES))
    ]


async def test_apps_are_apart(storage: Storage) -> None:
    """The same site of another app is another installation, to every method."""
    await storage.put(record(app_id="one", version="of-one"))
    await storage.put(record(app_id="two", version="of-two"))

    assert not await storage.replace(record(app_id="one"), expected="of-two")
    assert await storage.get(SITE, "one") is None
    assert [r.version for r in await storage.scan("one")] == ["of-one"]
    assert await storage.delete("one", SITE)
    assert timeless(await storage.get("two", SITE)) == timeless(
        record(app_id="two", version="of-two")
    )


async def test_put_overwrites(storage: Storage) -> None:
    """A second install of a site takes the place of the first, from its own moment on."""
    await storage.put(record(failure="refused", retry_in=60.0))
    first = await installed_at(storage)
    again = record(version="version-2", refresh_token=b"another", access_token=None)

    async def is_later() -> bool:
        await storage.put(again)
        return await installed_at(storage) > first

    await until(is_later)

    assert timeless(await storage.get(APP, SITE)) == timeless(again)
    assert len(await storage.scan(APP)) == 1


async def test_replace_keeps_the_installation(storage: Storage) -> None:
    """A refresh writes all of the record but the moment of its installation."""
    await storage.put(record())
    first = await installed_at(storage)
    changed = record(
        version="version-2",
        refresh_token=b"rotated",
        access_token=b"fresh",
        lifetime=600.0,
        expires_in=600.0,
        failure="later",
        retry_in=9.0,
    )

    assert await storage.replace(changed, expected="version-1")
    stored = await storage.get(APP, SITE)
    assert timeless(stored) == timeless(changed)
    assert stored is not None
    assert 500 < stored.expires_in <= 600
    assert await installed_at(storage) == first


async def test_replace_of_another_version(storage: Storage) -> None:
    """What was changed in between is left alone, also by one who repeats himself."""
    await storage.put(record())
    changed = record(version="version-2")

    assert not await storage.replace(changed, expected="version-0")
    assert await storage.replace(changed, expected="version-1")
    assert not await storage.replace(changed, expected="version-1")
    assert not await storage.replace(record(version="version-3"), expected="version-1")
    assert timeless(await storage.get(APP, SITE)) == timeless(changed)


async def test_replace_of_nothing(storage: Storage) -> None:
    """A refresh that ends after an uninstall brings nothing back."""
    assert not await storage.replace(record(), expected="version-1")
    assert await storage.get(APP, SITE) is None


async def test_replace_has_one_winner(storage: Storage) -> None:
    """Of twenty who replace the same version at once, one does."""
    await storage.put(record())
    outcomes: dict[str, bool] = {}

    async def replace_with(version: str) -> None:
        outcomes[version] = await storage.replace(record(version=version), expected="version-1")

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(replace_with, f"from-{number}")
    stored = await storage.get(APP, SITE)

    assert stored is not None
    assert [version for version, won in outcomes.items() if won] == [stored.version]


async def test_delete(storage: Storage) -> None:
    """What is removed is gone, and is removed once."""
    await storage.put(record())

    assert await storage.delete(APP, SITE)
    assert await storage.get(APP, SITE) is None
    assert not await storage.delete(APP, SITE)
    assert not await storage.delete(APP, SITE, installed_before=datetime.now(UTC))


@pytest.mark.parametrize("since", [timedelta(0), LATER, timedelta(days=2)])
async def test_late_removal_spares_a_newer_install(storage: Storage, since: timedelta) -> None:
    """A removal from before the install, or of the same moment, removes nothing."""
    await storage.put(record())
    moment = await installed_at(storage) - since

    assert not await storage.delete(APP, SITE, installed_before=moment)
    assert await storage.get(APP, SITE) is not None


@pytest.mark.parametrize("after", [LATER, timedelta(days=2)])
async def test_removal_after_the_install(storage: Storage, after: timedelta) -> None:
    """A removal from after the install removes it."""
    await storage.put(record())
    moment = await installed_at(storage) + after

    assert await storage.delete(APP, SITE, installed_before=moment)
    assert await storage.get(APP, SITE) is None


async def test_removed_site_installs_again(storage: Storage) -> None:
    """A removed site is installed like a new one."""
    await storage.put(record())
    await storage.delete(APP, SITE)
    await storage.put(record(version="version-2"))

    assert [r.version for r in await storage.scan(APP)] == ["version-2"]


async def test_deletes_have_one_winner(storage: Storage) -> None:
    """Of ten who remove an installation at once, one is told that there was one."""
    await storage.put(record())
    outcomes: list[bool] = []

    async def delete() -> None:
        outcomes.append(await storage.delete(APP, SITE))

    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(delete)

    assert sorted(outcomes) == [False] * 9 + [True]


async def test_puts_at_once_leave_one(storage: Storage) -> None:
    """Ten installs of one site at once leave one record, which is whole."""
    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(
                storage.put, record(version=f"version-{number}", refresh_token=b"%d" % number)
            )
    (stored,) = await storage.scan(APP)

    assert stored.version == f"version-{stored.refresh_token.decode()}"
