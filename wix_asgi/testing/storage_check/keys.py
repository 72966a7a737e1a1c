"""Keys are exact bytes: ids that look alike are different ids, and apps are apart."""

from __future__ import annotations

from wix_asgi.storage import Storage
from wix_asgi.testing.storage_check.cases import each
from wix_asgi.testing.storage_check.key_values import LOOKALIKES, SPLITS
from wix_asgi.testing.storage_check.records import APP, SITE, put_all, read, record, timeless

__all__ = [
    "test_app_ids_are_exact",
    "test_apps_are_apart_when_read",
    "test_apps_are_apart_when_removed",
    "test_apps_are_apart_when_replaced",
    "test_apps_are_apart_when_scanned",
    "test_ids_come_back",
    "test_instance_ids_are_exact",
    "test_key_is_a_pair",
    "test_names_are_exact",
]


@each("ids", LOOKALIKES)
async def test_instance_ids_are_exact(storage: Storage, ids: tuple[str, str]) -> None:
    """Instance ids with any difference are different ids, to every method."""
    one, other = ids
    await storage.put(record(one, "of-one"))
    assert await storage.get(APP, other) is None
    assert not await storage.replace(record(other), expected="of-one")
    await storage.put(record(other, "of-other"))

    assert timeless(record(one, "of-one")) == timeless(await storage.get(APP, one))
    assert {one, other} == {found.instance_id for found in await storage.scan(APP)}
    assert await storage.delete(APP, one)
    assert timeless(record(other, "of-other")) == timeless(await storage.get(APP, other))


@each("ids", LOOKALIKES)
async def test_app_ids_are_exact(storage: Storage, ids: tuple[str, str]) -> None:
    """App ids with any difference are different ids, to every method."""
    one, other = ids
    await storage.put(record(app_id=one, version="of-one"))
    assert await storage.get(other, SITE) is None
    assert [] == list(await storage.scan(other))
    await storage.put(record(app_id=other, version="of-other"))

    assert ["of-one"] == [found.version for found in await storage.scan(one)]
    assert await storage.delete(one, SITE)
    assert timeless(record(app_id=other, version="of-other")) == timeless(
        await storage.get(other, SITE)
    )


@each("names", LOOKALIKES)
async def test_names_are_exact(storage: Storage, names: tuple[str, str]) -> None:
    """Claimed names with any difference are different names."""
    one, other = names

    assert await storage.claim(one, "first", 60)
    assert await storage.claim(other, "second", 60)
    await storage.release(one, "first")
    assert not await storage.claim(other, "third", 60)


@each("keys", SPLITS)
async def test_key_is_a_pair(
    storage: Storage, keys: tuple[tuple[str, str], tuple[str, str]]
) -> None:
    """The key is the pair of app id and instance id, not their concatenation."""
    (app, site), (other_app, other_site) = keys
    await storage.put(record(site, "of-one", app_id=app))
    await storage.put(record(other_site, "of-other", app_id=other_app))

    assert "of-one" == (await read(storage, site, app_id=app)).version
    assert "of-other" == (await read(storage, other_site, app_id=other_app)).version


async def test_ids_come_back(storage: Storage) -> None:
    """Ids of any letters are returned letter by letter, by a scan too."""
    ids = sorted({instance_id for pair in LOOKALIKES.values() for instance_id in pair})
    await put_all(storage, *ids)
    found = [await storage.get(APP, instance_id) for instance_id in ids]

    assert ids == [stored and stored.instance_id for stored in found]
    assert ids == [stored.instance_id for stored in await storage.scan(APP)]


async def test_apps_are_apart_when_read(storage: Storage) -> None:
    """The same site of another app is another installation."""
    await storage.put(record(app_id="one", version="of-one"))
    await storage.put(record(app_id="two", version="of-two"))

    assert "of-one" == (await read(storage, app_id="one")).version
    assert "of-two" == (await read(storage, app_id="two")).version
    assert await storage.get("three", SITE) is None


async def test_apps_are_apart_when_scanned(storage: Storage) -> None:
    """A scan returns the sites of one app only."""
    for app_id in ("one", "two", "three"):
        for number in range(3):
            await storage.put(record(f"{app_id}-{number}", app_id=app_id))

    assert [
        "two-0",
        "two-1",
        "two-2",
    ] == [found.instance_id for found in await storage.scan("two", limit=4)]


async def test_apps_are_apart_when_replaced(storage: Storage) -> None:
    """A refresh leaves the same site of another app alone, even if the versions are equal."""
    await storage.put(record(app_id="one", version="same"))
    await storage.put(record(app_id="two", version="same"))

    assert await storage.replace(record(app_id="one", version="next"), expected="same")
    assert "same" == (await read(storage, app_id="two")).version
    assert not await storage.replace(record(app_id="three"), expected="same")
    assert await storage.get("three", SITE) is None


async def test_apps_are_apart_when_removed(storage: Storage) -> None:
    """A removal leaves the same site of another app alone."""
    await storage.put(record(app_id="one"))
    await storage.put(record(app_id="two"))

    assert not await storage.delete("three", SITE)
    assert await storage.delete("one", SITE)
    assert await storage.get("one", SITE) is None
    assert await storage.get("two", SITE) is not None
