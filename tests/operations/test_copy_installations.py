"""Copying from one backend to another."""

from __future__ import annotations

import dataclasses
import functools
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from tests.backends.of_before import OfBefore
from tests.operations.sealed import (
    APP,
    NEW,
    OLD,
    SITE,
    contents,
    install,
    record,
    record_of,
    refresh_token,
    rewrite,
)
from wix_asgi.models import Record
from wix_asgi.operations.copy_installations import copy_installations, is_same_storage
from wix_asgi.operations.rotate_keys import rotate_keys
from wix_asgi.sealing.vault import Vault
from wix_asgi.storage import Storage

SITES = [f"site-{number}" for number in range(8)]
ROUNDS = 10


async def fill(storage: Storage, *sites: str) -> list[Record]:
    """Store records of these sites; return their contents."""
    for site in sites:
        await storage.put(record(site))
    return await contents(storage)


async def test_everything_is_copied_as_it_is(source: Storage, target: Storage) -> None:
    """Several pages arrive byte for byte; a second pass has read them and compared them."""
    wanted = await fill(source, *(f"site-{number:03}" for number in range(120)))
    copy = await copy_installations(APP, source, target)

    assert wanted == await contents(target)
    assert wanted == await contents(source)
    assert (2, 120, 120, 120, 120, []) == (
        copy.passes,
        copy.written,
        copy.seen,
        copy.same,
        copy.in_target,
        copy.extra,
    )
    assert copy.is_complete


async def test_sealed_tokens_open_in_the_target(source: Storage, target: Storage) -> None:
    """No key is needed for the copy, and those of the source are good afterwards (R32)."""
    await install(source, SITE)
    await copy_installations(APP, source, target)

    assert f"refresh-{SITE}" == await refresh_token(target, SITE, OLD)


async def test_an_app_with_no_installations_is_copied(source: Storage, target: Storage) -> None:
    """From an empty store comes an empty one; other apps' records stay where they are."""
    await fill(source, SITE)
    copy = await copy_installations("other-app", source, target)

    assert (1, 0, 0) == (copy.passes, copy.seen, copy.written)
    assert [] == await contents(target)


async def test_what_is_there_already_is_not_written_again(source: Storage, target: Storage) -> None:
    """Run again, a copy compares everything, and writes the new records only."""
    await fill(source, *SITES)
    await copy_installations(APP, source, target)
    await fill(source, "site-new")
    before = await record_of(target, SITES[0])
    copy = await copy_installations(APP, source, target)

    assert (1, 9, True) == (copy.written, copy.same, copy.is_complete)
    assert before.installed_at == (await record_of(target, SITES[0])).installed_at


async def test_what_the_app_refreshed_in_the_source_is_brought_up_to_date(
    source: Storage, target: Storage
) -> None:
    """A record as a copy left it is replaced by the source's; its moment of install stays."""
    await fill(source, *SITES)
    await copy_installations(APP, source, target)
    before = await record_of(target, SITES[3])
    refreshed = await rewrite(source, SITES[3])
    copy = await copy_installations(APP, source, target)
    after = await record_of(target, SITES[3])

    assert (1, True) == (copy.written, copy.is_complete)
    assert refreshed.refresh_token == after.refresh_token
    assert before.installed_at == after.installed_at
    assert await contents(source) == await contents(target)


async def test_what_an_app_wrote_in_the_target_is_never_written_over(
    source: Storage, target: Storage
) -> None:
    """A record that an app refreshed there stays, whether the source has changed or not."""
    await fill(source, "a", "b", "c")
    await copy_installations(APP, source, target)
    first, second = await rewrite(target, "a"), await rewrite(target, "b")
    await rewrite(source, "b")
    await rewrite(source, "c")
    copy = await copy_installations(APP, source, target)

    assert (["a", "b"], 1, False) == (copy.kept, copy.written, copy.is_complete)
    assert first.refresh_token == (await record_of(target, "a")).refresh_token
    assert second.refresh_token == (await record_of(target, "b")).refresh_token


async def test_an_install_in_the_target_is_never_written_over(
    source: Storage, target: Storage
) -> None:
    """A site that was installed in the target, before or after a copy, keeps its record there."""
    await fill(source, "a", "b")
    await fill(target, "a")
    await copy_installations(APP, source, target)
    await fill(target, "b")
    wanted = await contents(target)
    copy = await copy_installations(APP, source, target)

    assert ["a", "b"] == copy.kept
    assert wanted == await contents(target)


async def test_nothing_is_deleted(source: Storage, target: Storage) -> None:
    """Records that the source does not have, or has lost, stay in the target and are named."""
    await fill(source, "b", "d")
    await copy_installations(APP, source, target)
    await fill(target, "a", "c", "e")
    await source.delete(APP, "d")
    copy = await copy_installations(APP, source, target)

    assert (1, 5, ["a", "c", "d", "e"], True) == (
        copy.same,
        copy.in_target,
        copy.extra,
        copy.is_complete,
    )
    assert ["a", "b", "c", "d", "e"] == [one.instance_id for one in await contents(target)]


async def test_what_is_not_as_it_was_written_is_found(source: Storage, target: Storage) -> None:
    """The version of the source with other contents is named, and left for somebody to look at."""
    await fill(source, "a", "b")
    await copy_installations(APP, source, target)
    there = await record_of(target, "b")
    await target.replace(record("b", version=there.version), expected=there.version)
    wanted = await contents(target)
    copy = await copy_installations(APP, source, target)

    assert (["b"], 0, False) == (copy.damaged, copy.written, copy.is_complete)
    assert wanted == await contents(target)


async def test_a_verdict_is_copied(source: Storage, target: Storage) -> None:
    """A failed refresh stays failed, and a token without a sealed access token goes without."""
    await source.put(record(access_token=None, failure="refused", retry_in=45.0))
    before = await record_of(source)
    await copy_installations(APP, source, target)
    after = await record_of(target)

    assert (None, "refused", 300.0) == (after.access_token, after.failure, after.lifetime)
    assert 0 < after.retry_in <= 45.0
    assert 0 < after.expires_in <= 200.0
    assert before.refresh_token == after.refresh_token


LATER: dict[str, Any] = {
    "grant_type": "client_credentials",
    "origin_instance_id": "site-0",
    "owes_on_install": True,
}


async def test_dates_of_install_are_copied(source: Storage, target: Storage) -> None:
    """Each record has its date of install in the target, to the millisecond."""
    await fill(source, "a", "b")
    dates = [one.installed_at for one in await source.scan(APP)]
    await fill(source, "b")
    wanted = [one.installed_at for one in await source.scan(APP)]
    await copy_installations(APP, source, target)
    found = [one.installed_at for one in await target.scan(APP)]

    assert dates[0] == wanted[0]
    assert [in_milliseconds(date) for date in wanted] == [in_milliseconds(date) for date in found]


def in_milliseconds(date: datetime | None) -> int:
    """Return the milliseconds since 1970, the unit in which SQL databases keep dates."""
    assert date is not None
    return (date - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


async def test_a_later_install_in_the_source_brings_its_date(
    source: Storage, target: Storage
) -> None:
    """A removal of the install before it, which arrives after the copy, spares the new install."""
    await fill(source, SITE)
    await copy_installations(APP, source, target)
    first = await record_of(source)
    await wait_until_later(source, first)
    await fill(source, SITE)
    second = await record_of(source)
    await copy_installations(APP, source, target)
    found = await record_of(target)

    assert in_milliseconds(second.installed_at) == in_milliseconds(found.installed_at)
    assert not await target.delete(APP, SITE, installed_before=found.installed_at)


async def wait_until_later(storage: Storage, before: Record) -> None:
    """Install another site until the storage's clock shows a later millisecond than `before`."""
    assert before.installed_at is not None
    moment = before.installed_at
    while moment - before.installed_at < timedelta(milliseconds=1):
        await fill(storage, "clock")
        moment = (await record_of(storage, "clock")).installed_at or moment
    await storage.delete(APP, "clock")


async def test_later_fields_are_copied(source: Storage, target: Storage) -> None:
    """The grant, the origin and the debt arrive, and a later change of them does, too."""
    await source.put(record("a", **LATER))
    await source.put(record("b"))
    await copy_installations(APP, source, target)
    first = await contents(target)
    told = record("a", **(LATER | {"owes_on_install": False}))
    await source.replace(told, expected=(await record_of(source, "a")).version)
    copy = await copy_installations(APP, source, target)

    assert LATER == {name: getattr(first[0], name) for name in LATER}
    assert copy.is_complete
    assert await contents(source) == await contents(target)


@pytest.mark.parametrize("field", LATER)
async def test_later_field_that_differs_is_found(
    source: Storage, target: Storage, field: str
) -> None:
    """A later field that is not as it was written in the target is no complete copy."""
    written = record("a", **LATER)
    await source.put(written)
    other: dict[str, Any] = {field: None if field != "owes_on_install" else False}
    changed = dataclasses.replace(written, **other)
    await target.put(changed)
    copy = await copy_installations(APP, source, target)

    assert (["a"], False) == (copy.damaged, copy.is_complete)


async def test_copy_to_a_storage_of_before(source: Storage) -> None:
    """A target that keeps none of the later fields gets the rest, and the copy is complete."""
    target = OfBefore()
    await source.put(record("a", **LATER))
    copy = await copy_installations(APP, source, target)

    assert (1, 1, True) == (copy.written, copy.same, copy.is_complete)


async def test_keys_that_rotate_meanwhile_are_a_change_like_any(
    source: Storage, target: Storage
) -> None:
    """A record that is sealed anew in the source is copied again."""
    await install(source, SITE)
    await copy_installations(APP, source, target)
    await rotate_keys(APP, source, Vault([NEW, OLD]))
    copy = await copy_installations(APP, source, target)

    assert (1, True) == (copy.written, copy.is_complete)
    assert f"refresh-{SITE}" == await refresh_token(target, SITE, NEW)


async def test_a_copy_goes_back(source: Storage, target: Storage) -> None:
    """An unchanged record is the same in both directions, and is not copied over itself."""
    await fill(source, *SITES)
    await copy_installations(APP, source, target)
    before = [one.version for one in await contents(source)]
    copy = await copy_installations(APP, target, source)

    assert (0, 8, True) == (copy.written, copy.same, copy.is_complete)
    assert before == [(await record_of(source, site)).version for site in SITES]


async def test_one_store_is_told_from_two(source: Storage, target: Storage) -> None:
    """Two storages are one if a claim in the first is held in the second."""
    assert await is_same_storage(source, source)
    assert not await is_same_storage(source, target)


async def test_an_app_may_refresh_in_the_source_meanwhile(source: Storage, target: Storage) -> None:
    """While workers refresh, a copy brings earlier records; after their end it brings all."""
    await fill(source, *SITES)

    async def work(site: str) -> None:
        for _ in range(ROUNDS):
            await rewrite(source, site)

    async with anyio.create_task_group() as tasks:
        for site in SITES:
            tasks.start_soon(work, site)
        tasks.start_soon(functools.partial(copy_installations, APP, source, target))
    copy = await copy_installations(APP, source, target)

    assert copy.is_complete
    assert await contents(source) == await contents(target)


async def test_nothing_an_app_writes_in_the_target_meanwhile_is_lost(
    source: Storage, target: Storage
) -> None:
    """With workers on both sides, by mistake, each record of the target is the last one written."""
    await fill(source, *SITES)
    await copy_installations(APP, source, target)
    last: dict[str, Record] = {}

    async def work(storage: Storage, site: str) -> None:
        for _ in range(ROUNDS):
            last[site] = await rewrite(storage, site)

    async with anyio.create_task_group() as tasks:
        for index, site in enumerate(SITES):
            tasks.start_soon(work, (source, target)[index % 2], site)
        tasks.start_soon(functools.partial(copy_installations, APP, source, target))
    copy = await copy_installations(APP, source, target)

    assert SITES[1::2] == copy.kept
    assert [last[site].refresh_token for site in SITES] == [
        (await record_of(target, site)).refresh_token for site in SITES
    ]
